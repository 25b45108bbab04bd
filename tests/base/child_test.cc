// Programs that run beside this one: their status, what they say, and that they end with it.
#include "base/child.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace moiety {
namespace {

class Child : public testing::Test {
 protected:
  int run(const std::string& script) {
    return run_child("/bin/sh", {"-c", script}, log_, [this] { waits_++; });
  }
  void TearDown() override { std::filesystem::remove(log_); }

  const std::filesystem::path log_ = std::filesystem::path(testing::TempDir()) / "child.log";
  int waits_ = 0;
};

TEST_F(Child, StatusAndWords) {
  EXPECT_EQ(run("echo unseen; echo seen >&2; exit 0"), 0);
  EXPECT_EQ(read_text_file(log_), "seen\n");
  EXPECT_EQ(run("read line && exit 1; exit 7"), 7);  // nothing to read
  EXPECT_EQ(read_text_file(log_), "");
  EXPECT_EQ(run("kill -9 $$"), 128 + 9);
}

TEST_F(Child, IsWaitedFor) {
  EXPECT_EQ(run("sleep 0.3"), 0);
  EXPECT_GE(waits_, 2);
}

TEST_F(Child, MustBeThere) {
  EXPECT_THROW(run_child(std::filesystem::path(testing::TempDir()) / "no-such-program", {}, log_, [] {}), Error);
  EXPECT_THROW(run_child("/bin/sh", {}, std::filesystem::path(testing::TempDir()) / "no-such-folder/log", [] {}), Error);
}

}  // namespace
}  // namespace moiety
