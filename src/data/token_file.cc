#include "data/token_file.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "data/token_layout.h"

namespace moiety {
namespace {

std::string_view first_bytes(std::span<const std::byte> bytes, size_t count) { return {reinterpret_cast<const char*>(bytes.data()), std::min(count, bytes.size())}; }

// `from` need not be aligned for T.
template <class T>
T number_at(const std::byte* from) {
  T out;
  std::memcpy(&out, from, sizeof(T));
  return out;
}

template <class Id>
void read_ids(const std::byte* from, std::span<int32_t> out) {
  for (size_t i = 0; i < out.size(); i++) out[i] = static_cast<int32_t>(number_at<Id>(from + i * sizeof(Id)));
}

template <class Id>
uint64_t largest_id(const std::byte* ids, uint64_t count) {
  Id out = 0;
  for (uint64_t i = 0; i < count; i++) out = std::max(out, number_at<Id>(ids + i * sizeof(Id)));
  return out;
}

constexpr size_t version_at = 7;

void check_magic(std::span<const std::byte> bytes, const std::string& name) {
  if (first_bytes(bytes, version_at) != token_file_magic.substr(0, version_at)) throw Error("{}: is no token file", name);
}

}  // namespace

void TokenFile::damaged() const { throw Error("{}: the token file is truncated or damaged; remove it, and it is made anew from the text", name_); }

TokenFile TokenFile::open(const std::filesystem::path& path) {
  auto mapping = std::make_shared<MappedFile>(path);
  TokenFile out = parse(mapping->bytes(), path.string());
  out.mapping_ = std::move(mapping);
  return out;
}

TokenFileOrigin TokenFile::origin_of(const std::filesystem::path& path) {
  const MappedFile file(path);
  check_magic(file.bytes(), path.string());
  if (file.bytes().size() < sizeof(TokenFileHead) || first_bytes(file.bytes(), 8) != token_file_magic) return {};
  const auto head = number_at<TokenFileHead>(file.bytes().data());
  return {head.vocabulary, head.tokenizer, head.text};
}

TokenFile TokenFile::parse(std::span<const std::byte> bytes, const std::string& origin) {
  TokenFile out;
  out.name_ = origin;
  check_magic(bytes, origin);
  if (bytes.size() < sizeof(TokenFileHead) + sizeof(TokenFileTail)) out.damaged();
  if (first_bytes(bytes, 8) != token_file_magic) throw Error("{}: is of another version; remove it, and it is made anew from the text", origin);
  const auto head = number_at<TokenFileHead>(bytes.data());
  const auto tail = number_at<TokenFileTail>(bytes.data() + bytes.size() - sizeof(TokenFileTail));
  if (XXH3_64bits(bytes.data(), bytes.size() - sizeof(tail.checksum)) != tail.checksum) out.damaged();

  // Whoever computes a checksum may still mean harm: each count is held against the bytes that are there before it is multiplied.
  const uint64_t left = bytes.size() - sizeof(head) - sizeof(tail);
  if (head.id_bytes != id_bytes_for(head.vocabulary) || head.vocabulary > INT32_MAX || tail.separator_size < 1 || tail.separator_size > 2) out.damaged();
  if (tail.tokens > left / head.id_bytes || tail.documents > left / sizeof(Document) || tail.name_bytes > left) out.damaged();
  const uint64_t id_space = to_multiple_of_8(tail.tokens * head.id_bytes), table = tail.documents * sizeof(Document);
  if (id_space + table + to_multiple_of_8(tail.name_bytes) != left) out.damaged();

  out.origin_ = {head.vocabulary, head.tokenizer, head.text};
  out.tokens_ = tail.tokens;
  out.checksum_ = tail.checksum;
  out.id_bytes_ = head.id_bytes;
  out.separator_size_ = tail.separator_size;
  out.ids_ = bytes.data() + sizeof(head);
  out.read_domains(bytes.subspan(sizeof(head) + id_space + table, tail.name_bytes));
  out.read_documents(bytes.subspan(sizeof(head) + id_space, table));
  out.check_ids();
  return out;
}

void TokenFile::read_domains(std::span<const std::byte> names) {
  std::string_view rest = first_bytes(names, names.size());
  while (!rest.empty()) {
    const size_t end = rest.find('\0');
    if (end == std::string_view::npos) damaged();
    domains_.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
}

void TokenFile::read_documents(std::span<const std::byte> table) {
  documents_.resize(table.size() / sizeof(Document));
  if (documents_.empty()) damaged();
  std::memcpy(documents_.data(), table.data(), table.size());
  if (documents_[0].first != 0) damaged();
  uint64_t total = 0;
  for (size_t i = 0; i < documents_.size(); i++) {
    const Document& d = documents_[i];
    const uint64_t end = end_of(i);
    if (end < d.first || end - d.first < separator_size_ || d.domain >= domains_.size()) damaged();
    if (d.bytes > INT64_MAX - total) damaged();  // sums of them are taken later
    total += d.bytes;
  }
}

void TokenFile::check_ids() const {
  const uint64_t largest = id_bytes_ == 2 ? largest_id<uint16_t>(ids_, tokens_) : largest_id<uint32_t>(ids_, tokens_);
  if (largest >= origin_.vocabulary) throw Error("{}: holds id {}, but its vocabulary has {}; remove it, and it is made anew from the text", name_, largest, origin_.vocabulary);
}

void TokenFile::read(uint64_t first, std::span<int32_t> out) const {
  const std::byte* from = ids_ + first * id_bytes_;
  if (id_bytes_ == 2) read_ids<uint16_t>(from, out);
  else read_ids<uint32_t>(from, out);
}

}  // namespace moiety
