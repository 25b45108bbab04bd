// NAME.tokens: documents as ids, mapped for reading. Numbers are little-endian:
//
//    0  "MOIETYT1", the last letter being the version
//    8  bytes of an id u32: 2 up to 65,536 ids, else 4; ids in the vocabulary u32
//   16  fingerprints u64 of the tokenizer and of the text
//   32  ids, one document after another, each begun by the separator; zeros up to a multiple of 8
//       documents: place of the first id u64, bytes of the text u64, hash of the text u64, domain u64
//       names of the domains, each ended by a zero byte; zeros up to a multiple of 8
//       ids u64, documents u64, bytes of names u64, ids of the separator u64, XXH3 u64 of all before it
//
// The counts stand at the end because they are known only then: a text larger than memory is written as it is read.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace moiety {

class MappedFile;

// As it lies in the file.
struct Document {
  uint64_t first;   // place of its first id
  uint64_t bytes;   // of its text
  uint64_t hash;    // hash_document()
  uint64_t domain;  // index of the file's domains
};

// What a file was made of: with other text or another tokenizer it is another file.
struct TokenFileOrigin {
  uint32_t vocabulary = 0;
  uint64_t tokenizer = 0, text = 0;
  bool operator==(const TokenFileOrigin&) const = default;
};

class TokenFile {
 public:
  // Reads all of it once: a damaged file, or ids outside the vocabulary, are an Error.
  static TokenFile open(const std::filesystem::path& path);
  // The same of bytes that the caller keeps; `origin` stands for the path in messages.
  static TokenFile parse(std::span<const std::byte> bytes, const std::string& origin);
  // What the file at `path` was made of, by its first bytes alone. Of another version: an origin that no file of this one has.
  static TokenFileOrigin origin_of(const std::filesystem::path& path);

  const std::string& name() const { return name_; }  // for messages
  const TokenFileOrigin& origin() const { return origin_; }
  uint64_t tokens() const { return tokens_; }
  const std::vector<Document>& documents() const { return documents_; }
  uint64_t end_of(size_t document) const { return document + 1 < documents_.size() ? documents_[document + 1].first : tokens_; }
  const std::vector<std::string>& domains() const { return domains_; }
  size_t separator_size() const { return separator_size_; }  // ids in front of each document's own
  uint64_t checksum() const { return checksum_; }
  void read(uint64_t first, std::span<int32_t> out) const;  // [first, first + out.size()) is within tokens()

 private:
  TokenFile() = default;
  void read_documents(std::span<const std::byte> table);
  void read_domains(std::span<const std::byte> names);
  void check_ids() const;
  [[noreturn]] void damaged() const;

  std::string name_;
  TokenFileOrigin origin_;
  uint64_t tokens_ = 0, checksum_ = 0;
  size_t id_bytes_ = 0, separator_size_ = 0;
  const std::byte* ids_ = nullptr;
  std::vector<Document> documents_;
  std::vector<std::string> domains_;
  std::shared_ptr<MappedFile> mapping_;  // none if the bytes are the caller's
};

}  // namespace moiety
