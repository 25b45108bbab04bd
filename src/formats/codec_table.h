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

// Encoders, each in the file named after its decoders' with _encode.
template <uint32_t bits>
void encode_scaled(std::span<const float> row, std::span<const float> importance, std::byte* out);  // Q4_0, Q5_0, Q8_0
template <uint32_t bits>
void encode_offset(std::span<const float> row, std::span<const float> importance, std::byte* out);  // Q4_1, Q5_1
void encode_q2_k(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_q3_k(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_q4_k(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_q5_k(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_q6_k(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_iq4_nl(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_iq4_xs(std::span<const float> row, std::span<const float> importance, std::byte* out);
void encode_mxfp4(std::span<const float> row, std::span<const float> importance, std::byte* out);

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
