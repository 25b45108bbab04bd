// One decoder and, where there is one, one encoder for each type; codec.cc holds the table.
#pragma once
#include <cstddef>
#include <cstring>
#include <span>

#include "formats/codec.h"
#include "formats/half.h"

namespace moiety {

// `blocks` blocks from `in` to out.
using DecodeBlocks = void (*)(const std::byte* in, size_t blocks, float* out);
using EncodeRow = void (*)(std::span<const float> row, std::span<const float> importance, std::byte* out);

struct Codec {
  TensorType type;
  DecodeBlocks decode = nullptr;
  EncodeRow encode = nullptr;
};

// Each file of codecs gives its rows.
std::span<const Codec> plain_codecs();
std::span<const Codec> legacy_codecs();
std::span<const Codec> k_codecs();
std::span<const Codec> lookup_codecs();
std::span<const Codec> iq_codecs();
std::span<const Codec> ternary_codecs();

// Unaligned loads: blocks begin at any address.
template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}
inline float load_f16(const std::byte* p) { return from_f16(load<uint16_t>(p)); }
inline uint32_t u8_at(const std::byte* p, size_t i) { return std::to_integer<uint32_t>(p[i]); }

}  // namespace moiety
