#include "base/atomic_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/unfinished.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

class AtomicDirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("moiety-directory-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  static void write(const fs::path& path, const char* text) { std::ofstream(path) << text; }
  std::set<std::string> names(const fs::path& path) const {
    std::set<std::string> out;
    for (const auto& entry : fs::directory_iterator(path)) out.insert(entry.path().filename().string());
    return out;
  }
  static bool ours(const std::string& name) { return name.starts_with("model"); }
  fs::path folder_;
};

TEST_F(AtomicDirectoryTest, IsThereAfterCommitAndNotBefore) {
  AtomicDirectory out(folder_ / "out/", ours);
  write(out.path() / "model", "new");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  out.commit();
  EXPECT_EQ(names(folder_), std::set<std::string>{"out"});
  EXPECT_EQ(read_text_file(folder_ / "out/model"), "new");
}

TEST_F(AtomicDirectoryTest, NothingIsLeftWithoutCommit) {
  {
    AtomicDirectory out(folder_ / "out", ours);
    write(out.path() / "model", "half");
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(AtomicDirectoryTest, ReplacesItsOwnFilesAndKeepsAllOthers) {
  fs::create_directories(folder_ / "out/figures");
  write(folder_ / "out/model", "old");
  write(folder_ / "out/model-2", "old");
  write(folder_ / "out/README.md", "by hand");
  write(folder_ / "out/figures/a", "by hand");
  AtomicDirectory out(folder_ / "out", ours);
  write(out.path() / "model", "new");
  EXPECT_EQ(read_text_file(folder_ / "out/model"), "old");
  out.commit();
  EXPECT_EQ(names(folder_), std::set<std::string>{"out"});
  EXPECT_EQ(names(folder_ / "out"), (std::set<std::string>{"README.md", "figures", "model"}));
  EXPECT_EQ(read_text_file(folder_ / "out/model"), "new");
  EXPECT_EQ(read_text_file(folder_ / "out/figures/a"), "by hand");
}

TEST_F(AtomicDirectoryTest, AStoppedProgramRemovesIt) {
  AtomicDirectory out(folder_ / "out", ours);
  AtomicFile file(out.path() / "model");
  for (int i = 0; i < 200; i++) write(out.path() / ("model-with-a-long-name-" + std::to_string(i)), "half");
  remove_unfinished_files();
  EXPECT_TRUE(fs::is_empty(folder_));
}

}  // namespace
}  // namespace moiety
