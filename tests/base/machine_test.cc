// The default number of threads, on machines made of files.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/threads.h"

namespace moiety {
namespace {

class Machine : public testing::Test {
 protected:
  Machine() {
    char name[] = "machine_XXXXXX";
    root_ = std::filesystem::absolute(mkdtemp(name));
  }
  ~Machine() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  std::filesystem::path root_;
};

TEST_F(Machine, HyperthreadsOfACoreCountOnce) {
  for (int cpu = 0; cpu < 8; cpu++)
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
  EXPECT_EQ(count_cores({0, 1, 2, 3, 4, 5, 6, 7}, root_), 4u);
  EXPECT_EQ(count_cores({0, 4}, root_), 1u);
  EXPECT_EQ(count_cores({0, 5}, root_), 2u);
  EXPECT_EQ(count_cores({8, 9}, root_), 2u) << "CPUs of unknown topology are cores";
}

TEST_F(Machine, NoQuotaIsNoLimit) {
  EXPECT_EQ(quota_cpus(root_), 0u);
  write("proc/self/cgroup", "0::/");
  EXPECT_EQ(quota_cpus(root_), 0u);
  write("sys/fs/cgroup/cpu.max", "max 100000");
  EXPECT_EQ(quota_cpus(root_), 0u);
  write("sys/fs/cgroup/cpu.max", "garbage");
  EXPECT_EQ(quota_cpus(root_), 0u);
}

TEST_F(Machine, QuotasAreRoundedUpAndTheTightestHolds) {
  write("proc/self/cgroup", "0::/system.slice/moiety.service");
  write("sys/fs/cgroup/cpu.max", "800000 100000");
  write("sys/fs/cgroup/system.slice/moiety.service/cpu.max", "max 100000");
  EXPECT_EQ(quota_cpus(root_), 8u);
  write("sys/fs/cgroup/system.slice/cpu.max", "250000 100000");
  EXPECT_EQ(quota_cpus(root_), 3u);
  write("sys/fs/cgroup/system.slice/moiety.service/cpu.max", "50000 100000");
  EXPECT_EQ(quota_cpus(root_), 1u);
}

TEST_F(Machine, Version1HasFilesOfItsOwn) {
  write("proc/self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box\n1:name=systemd:/");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1");
  write("sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota_cpus(root_), 0u);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000");
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(quota_cpus(root_), 4u);
}

TEST(Threads, ThereIsAlwaysOne) { EXPECT_GE(default_thread_count(), 1u); }

}  // namespace
}  // namespace moiety
