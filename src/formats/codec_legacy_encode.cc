// Encoders of the blocks of 32: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. codec_legacy.cc draws the layouts.
#include "formats/codec_search.h"
#include "formats/codec_table.h"

namespace moiety {
namespace {

// Low nibbles, then high ones; the fifth bits, where there are any, in a word before them.
template <uint32_t bits>
void put_integers(const uint8_t* q, std::byte* out) {
  if constexpr (bits == 5) {
    uint32_t fifth = 0;
    for (uint32_t i = 0; i < 32; i++) fifth |= static_cast<uint32_t>(q[i] >> 4) << i;
    std::memcpy(out, &fifth, 4);
    out += 4;
  }
  for (size_t i = 0; i < 16; i++) out[i] = static_cast<std::byte>((q[i] & 15) | (q[i + 16] & 15) << 4);
}

}  // namespace

template <uint32_t bits>
void encode_scaled(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  constexpr Grid grid = {-static_cast<float>(1 << (bits - 1)), static_cast<float>((1 << (bits - 1)) - 1)};
  Importance weights(importance);
  uint8_t q[32];
  for (size_t begin = 0; begin < row.size(); begin += 32, out += 2 + 4 * bits) {
    const Weighted numbers = weights.block(row, begin, 32);
    const uint16_t d = to_finite_f16(fit_scale(numbers, grid));
    quantise(numbers, {from_f16(d), 0}, grid, q);
    std::memcpy(out, &d, 2);
    if constexpr (bits == 8)
      for (size_t i = 0; i < 32; i++) out[2 + i] = static_cast<std::byte>(q[i] ^ 128);  // from 0..255 to two's complement
    else
      put_integers<bits>(q, out + 2);
  }
}

template <uint32_t bits>
void encode_offset(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  constexpr Grid grid = {0, static_cast<float>((1 << bits) - 1)};
  Importance weights(importance);
  uint8_t q[32];
  for (size_t begin = 0; begin < row.size(); begin += 32, out += 4 + 4 * bits) {
    const Weighted numbers = weights.block(row, begin, 32);
    const Line line = fit_line(numbers, grid.high, false);
    const uint16_t d = to_finite_f16(line.scale), m = to_finite_f16(line.offset);
    quantise(numbers, {from_f16(d), from_f16(m)}, grid, q);
    std::memcpy(out, &d, 2);
    std::memcpy(out + 2, &m, 2);
    put_integers<bits>(q, out + 4);
  }
}

template void encode_scaled<4>(std::span<const float>, std::span<const float>, std::byte*);
template void encode_scaled<5>(std::span<const float>, std::span<const float>, std::byte*);
template void encode_scaled<8>(std::span<const float>, std::span<const float>, std::byte*);
template void encode_offset<4>(std::span<const float>, std::span<const float>, std::byte*);
template void encode_offset<5>(std::span<const float>, std::span<const float>, std::byte*);

}  // namespace moiety
