// One or two bits a number, or a little more: TQ1_0, TQ2_0, Q1_0, Q2_0.
//
//   TQ1_0  256 numbers of -1 0 1: 48 bytes of five base-3 digits, 4 bytes of four, d f16; a byte's digits lie in the fraction byte/256
//   TQ2_0  256 numbers: 64 bytes of 2 bits, 32 bytes apart, d f16      (q - 1) d
//   Q1_0   128 numbers: d f16, 16 bytes of 1 bit                        d or -d
//   Q2_0   64 numbers: d f16, 16 bytes of 2 bits, neighbours in a byte  (q - 1) d
#include <array>

#include "formats/codec_table.h"

namespace moiety {
namespace {

// Digit `digit` of each of `width` bytes: multiplying by a power of 3 leaves the wanted digit first in the fraction.
void ternary_digits(const std::byte* in, size_t width, size_t digits, float d, float* out) {
  uint32_t power = 1;
  for (size_t digit = 0; digit < digits; digit++, power *= 3, out += width)
    for (size_t i = 0; i < width; i++)
      out[i] = d * static_cast<float>(static_cast<int>((u8_at(in, i) * power & 255) * 3 >> 8) - 1);
}

void decode_tq1_0(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 54, out += 256) {
    const float d = load_f16(in + 52);
    ternary_digits(in, 32, 5, d, out);
    ternary_digits(in + 32, 16, 5, d, out + 160);
    ternary_digits(in + 48, 4, 4, d, out + 240);
  }
}

void decode_tq2_0(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 66, out += 256) {
    const float d = load_f16(in + 64);
    for (size_t g = 0; g < 8; g++)
      for (size_t i = 0; i < 32; i++)
        out[g * 32 + i] = d * static_cast<float>(static_cast<int>(u8_at(in, g / 4 * 32 + i) >> (g % 4 * 2) & 3) - 1);
  }
}

void decode_q1_0(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 18, out += 128) {
    const float d = load_f16(in);
    for (size_t i = 0; i < 128; i++) out[i] = u8_at(in + 2, i / 8) >> (i % 8) & 1 ? d : -d;
  }
}

void decode_q2_0(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 18, out += 64) {
    const float d = load_f16(in);
    for (size_t i = 0; i < 64; i++) out[i] = static_cast<float>(static_cast<int>(u8_at(in + 2, i / 4) >> (i % 4 * 2) & 3) - 1) * d;
  }
}

constexpr std::array rows = {
    Codec{TensorType::tq1_0, decode_tq1_0}, Codec{TensorType::tq2_0, decode_tq2_0},
    Codec{TensorType::q1_0, decode_q1_0},   Codec{TensorType::q2_0, decode_q2_0},
};

}  // namespace

std::span<const Codec> ternary_codecs() { return rows; }

}  // namespace moiety
