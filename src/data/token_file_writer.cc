#include "data/token_file_writer.h"

#include <xxhash.h>

#include <algorithm>

#include "data/documents.h"
#include "data/token_layout.h"

namespace moiety {
namespace {

template <class T>
std::span<const std::byte> bytes_of_value(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

}  // namespace

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, const TokenFileOrigin& origin, std::span<const int32_t> separator)
    : file_(path),
      hash_(XXH3_createState(), [](XXH3_state_s* state) { XXH3_freeState(state); }),
      id_bytes_(id_bytes_for(origin.vocabulary)),
      separator_(separator.begin(), separator.end()) {
  XXH3_64bits_reset(hash_.get());
  TokenFileHead head{{}, id_bytes_, origin.vocabulary, origin.tokenizer, origin.text};
  std::ranges::copy(token_file_magic, head.magic);
  write(bytes_of_value(head));
}

TokenFileWriter::~TokenFileWriter() = default;

void TokenFileWriter::add(std::string_view text, std::span<const int32_t> ids, const std::string& domain) {
  const size_t index = static_cast<size_t>(std::ranges::find(domains_, domain) - domains_.begin());
  if (index == domains_.size()) domains_.push_back(domain);
  documents_.push_back({tokens_, text.size(), hash_document(text), index});
  write_ids(separator_);
  write_ids(ids);
}

void TokenFileWriter::commit() {
  pad();
  write(std::as_bytes(std::span(documents_)));
  std::string names;
  for (const std::string& domain : domains_) names += domain + '\0';
  write(std::as_bytes(std::span(names)));
  pad();
  TokenFileTail tail{tokens_, documents_.size(), names.size(), separator_.size(), 0};
  write(bytes_of_value(tail).first(offsetof(TokenFileTail, checksum)));
  tail.checksum = XXH3_64bits_digest(hash_.get());
  file_.write(bytes_of_value(tail.checksum));
  file_.commit();
}

void TokenFileWriter::write(std::span<const std::byte> bytes) {
  XXH3_64bits_update(hash_.get(), bytes.data(), bytes.size());
  file_.write(bytes);
}

void TokenFileWriter::write_ids(std::span<const int32_t> ids) {
  tokens_ += ids.size();
  if (id_bytes_ == 4) return write(std::as_bytes(ids));
  const std::vector<uint16_t> narrow(ids.begin(), ids.end());
  write(std::as_bytes(std::span(narrow)));
}

void TokenFileWriter::pad() {
  static constexpr std::byte zeros[8] = {};
  write(std::span(zeros).first(to_multiple_of_8(file_.offset()) - file_.offset()));
}

}  // namespace moiety
