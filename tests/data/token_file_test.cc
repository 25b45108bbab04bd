// Token files written and read again, and bytes that mean harm.
#include "data/token_file.h"

#include <xxhash.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "data/documents.h"
#include "data/token_layout.h"
#include "tests/data/small_data.h"

namespace moiety {
namespace {

std::vector<std::byte> bytes_of_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {file.bytes().begin(), file.bytes().end()};
}

void expect_refused(std::span<const std::byte> bytes, const std::string& what) {
  try {
    TokenFile::parse(bytes, "x.tokens");
    ADD_FAILURE() << what << ": was read";
  } catch (const Error& e) {
    EXPECT_TRUE(std::string(e.what()).starts_with("x.tokens: ")) << e.what();
  }
}

TEST(TokenFile, GivesBackWhatWasWritten) {
  for (const auto& [vocabulary, separator] : {std::pair(300u, std::vector<int32_t>{0}), std::pair(65536u, std::vector<int32_t>{0, 1}), std::pair(65537u, std::vector<int32_t>{1})}) {
    const TemporaryPath path("t");
    auto documents = random_documents(vocabulary, 40, 30, static_cast<int32_t>(vocabulary));
    for (size_t i = 25; i < documents.size(); i++) documents[i].domain = i % 2 ? "b" : "";
    documents[3].ids = {static_cast<int32_t>(vocabulary) - 1};
    const auto file = write_documents(path, documents, separator, vocabulary);
    const std::vector<int32_t> all = joined(documents, separator);
    EXPECT_EQ(file->origin(), (TokenFileOrigin{vocabulary, 11, 22}));
    EXPECT_EQ(TokenFile::origin_of(path), file->origin());
    EXPECT_EQ(file->separator_size(), separator.size());
    ASSERT_EQ(file->tokens(), all.size());
    std::vector<int32_t> read(all.size());
    file->read(0, read);
    EXPECT_EQ(read, all);
    EXPECT_EQ(file->domains(), (std::vector<std::string>{"a", "b", ""}));
    ASSERT_EQ(file->documents().size(), documents.size());
    for (size_t i = 0; i < documents.size(); i++) {
      const Document& d = file->documents()[i];
      EXPECT_EQ(d.bytes, documents[i].text.size());
      EXPECT_EQ(d.hash, hash_document(documents[i].text));
      EXPECT_EQ(file->domains()[d.domain], documents[i].domain);
      std::vector<int32_t> ids(file->end_of(i) - d.first - separator.size());
      file->read(d.first + separator.size(), ids);
      EXPECT_EQ(ids, documents[i].ids);
    }
  }
}

TEST(TokenFile, RefusesEveryChangedByteAndEveryShorterFile) {
  const TemporaryPath path("t");
  write_documents(path, random_documents(5, 6, 9));
  std::vector<std::byte> bytes = bytes_of_file(path);
  for (size_t i = 0; i < bytes.size(); i++) {
    expect_refused(std::span(bytes).first(i), "the first " + std::to_string(i) + " bytes");
    for (int bit : {0, 7}) {
      bytes[i] ^= std::byte(1 << bit);
      expect_refused(bytes, "byte " + std::to_string(i));
      bytes[i] ^= std::byte(1 << bit);
    }
  }
  EXPECT_NO_THROW(TokenFile::parse(bytes, "x.tokens"));
}

// Numbers that somebody chose, under a checksum that is right.
TEST(TokenFile, RefusesCountsThatLie) {
  const TemporaryPath path("t");
  write_documents(path, random_documents(6, 5, 9));
  const std::vector<std::byte> good = bytes_of_file(path);
  const uint64_t tokens = TokenFile::open(path).tokens(), table = sizeof(TokenFileHead) + to_multiple_of_8(2 * tokens), tail = good.size() - sizeof(TokenFileTail);
  const auto with = [&](size_t at, uint64_t value, size_t size = 8) {
    std::vector<std::byte> bytes = good;
    std::memcpy(bytes.data() + at, &value, size);
    const uint64_t sum = XXH3_64bits(bytes.data(), bytes.size() - 8);
    std::memcpy(bytes.data() + bytes.size() - 8, &sum, 8);
    return bytes;
  };
  EXPECT_NO_THROW(TokenFile::parse(with(16, 99), "x.tokens"));  // another fingerprint is no harm here
  for (const uint64_t v : {uint64_t{0}, uint64_t{1}, tokens + 4, uint64_t{1} << 32, uint64_t{1} << 61, uint64_t{1} << 63, ~uint64_t{0}}) {
    for (const size_t count : {0, 8, 16, 24})
      if (!(count == 24 && v == 1)) expect_refused(with(tail + count, v), "tail at " + std::to_string(count) + ": " + std::to_string(v));
    if (v != 0) expect_refused(with(table, v), "first document begins at " + std::to_string(v));
    if (v != 1) expect_refused(with(table + 32, v), "second document begins at " + std::to_string(v));
    if (v != 0) expect_refused(with(table + 24, v), "domain " + std::to_string(v));
    if (v >> 63) expect_refused(with(table + 8, v), "bytes " + std::to_string(v));
  }
  expect_refused(with(8, 4, 4), "wide ids for a small vocabulary");
  expect_refused(with(12, 70000, 4), "narrow ids for a large vocabulary");
  expect_refused(with(sizeof(TokenFileHead) + 2, 300, 2), "an id outside the vocabulary");
  expect_refused(with(12, 0, 4), "no vocabulary");
  expect_refused(with(tail - 8, ~uint64_t{0}), "a name without its end");
}

TEST(TokenFile, TellsOtherFilesAndOtherVersionsApart) {
  const TemporaryPath path("t");
  write_documents(path, random_documents(7, 5, 9));
  std::vector<std::byte> bytes = bytes_of_file(path);
  bytes[7] = std::byte{'2'};
  {
    AtomicFile file(path);
    file.write(bytes);
    file.commit();
  }
  EXPECT_EQ(TokenFile::origin_of(path), TokenFileOrigin{});
  EXPECT_THROW(TokenFile::open(path), Error);
  {
    AtomicFile file(path);
    file.write("a letter of mine");
    file.commit();
  }
  EXPECT_THROW(TokenFile::origin_of(path), Error);
}

TEST(Documents, AreBetweenFormFeeds) {
  using Texts = std::vector<std::string_view>;
  EXPECT_EQ(split_documents(""), Texts{});
  EXPECT_EQ(split_documents("\f\f"), Texts{});
  EXPECT_EQ(split_documents("one\nfile\n"), Texts{"one\nfile\n"});
  EXPECT_EQ(split_documents("\fa\f\fb\n\f"), (Texts{"a", "b\n"}));
}

}  // namespace
}  // namespace moiety
