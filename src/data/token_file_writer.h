// Writes a token file (token_file.h) document by document, under a temporary name until commit().
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

#include "base/file.h"
#include "data/token_file.h"

struct XXH3_state_s;

namespace moiety {

class TokenFileWriter {
 public:
  TokenFileWriter(const std::filesystem::path& path, const TokenFileOrigin& origin, std::span<const int32_t> separator);
  ~TokenFileWriter();
  TokenFileWriter(const TokenFileWriter&) = delete;

  // `ids` are those of the text; the separator is put in front of them.
  void add(std::string_view text, std::span<const int32_t> ids, const std::string& domain);
  void commit();

 private:
  void write(std::span<const std::byte> bytes);
  void write_ids(std::span<const int32_t> ids);
  void pad();

  AtomicFile file_;
  std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> hash_;
  uint32_t id_bytes_;
  std::vector<int32_t> separator_;
  std::vector<Document> documents_;
  std::vector<std::string> domains_;
  uint64_t tokens_ = 0;
};

}  // namespace moiety
