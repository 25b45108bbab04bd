// Token files for tests, of random documents, written where the test's files go.
#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "data/token_file.h"
#include "data/token_file_writer.h"

namespace moiety {

struct SmallDocument {
  std::string text;
  std::vector<int32_t> ids;  // without the separator
  std::string domain = "a";
};

// Documents of 0 to `longest` ids, none of them the separator's (0 and 1), of some random text.
inline std::vector<SmallDocument> random_documents(uint32_t seed, size_t count, size_t longest, int32_t vocabulary = 300) {
  std::mt19937 random(seed);
  std::vector<SmallDocument> out(count);
  for (SmallDocument& d : out) {
    d.ids.resize(random() % (longest + 1));
    for (int32_t& id : d.ids) id = static_cast<int32_t>(2 + random() % static_cast<uint32_t>(vocabulary - 2));
    d.text = "text " + std::to_string(random()) + std::string(random() % 20, 'x');
  }
  return out;
}

// A path of the running test's own, whose file is removed at the end.
class TemporaryPath {
 public:
  explicit TemporaryPath(const std::string& name) {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(::testing::TempDir()) / (std::string("moiety-") + test->test_suite_name() + "-" + test->name() + "-" + name);
    std::filesystem::remove(path_);
  }
  ~TemporaryPath() { std::filesystem::remove(path_); }
  TemporaryPath(const TemporaryPath&) = delete;
  operator const std::filesystem::path&() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::shared_ptr<const TokenFile> write_documents(const std::filesystem::path& path, const std::vector<SmallDocument>& documents,
                                                        const std::vector<int32_t>& separator = {0}, uint32_t vocabulary = 300) {
  TokenFileWriter writer(path, {vocabulary, 11, 22}, separator);
  for (const SmallDocument& d : documents) writer.add(d.text, d.ids, d.domain);
  writer.commit();
  return std::make_shared<const TokenFile>(TokenFile::open(path));
}

// The ids of the documents with `separator` in front of each.
inline std::vector<int32_t> joined(const std::vector<SmallDocument>& documents, const std::vector<int32_t>& separator = {0}) {
  std::vector<int32_t> out;
  for (const SmallDocument& d : documents) {
    out.insert(out.end(), separator.begin(), separator.end());
    out.insert(out.end(), d.ids.begin(), d.ids.end());
  }
  return out;
}

}  // namespace moiety
