// The parts of a token file that reader and writer share; token_file.h draws the whole.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace moiety {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::string_view token_file_magic = "MOIETYT1";

struct TokenFileHead {
  char magic[8];
  uint32_t id_bytes, vocabulary;
  uint64_t tokenizer, text;
};

struct TokenFileTail {
  uint64_t tokens, documents, name_bytes, separator_size, checksum;
};

constexpr uint32_t id_bytes_for(uint64_t vocabulary) { return vocabulary <= 65536 ? 2 : 4; }
constexpr uint64_t to_multiple_of_8(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

}  // namespace moiety
