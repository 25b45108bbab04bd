// Super-blocks of 256 numbers whose sub-blocks have quantised scales: Q2_K to Q6_K; and Q8_K, which has one scale.
//
//   Q2_K  16 sub-blocks of 16: 16 bytes (scale low nibble, minimum high), 64 bytes of 2 bits, d f16, dmin f16
//   Q3_K  16 sub-blocks of 16: 32 bytes of third bits, 64 bytes of 2 bits, 12 bytes of 6-bit scales, d f16
//   Q4_K  8 sub-blocks of 32: d f16, dmin f16, 12 bytes of 6-bit scales and minima, 128 bytes of 4 bits
//   Q5_K  as Q4_K, with 32 bytes of fifth bits before the 128
//   Q6_K  16 sub-blocks of 16: 128 bytes of low nibbles, 64 bytes of upper 2 bits, 16 signed scales, d f16
//   Q8_K  d f32, 256 signed bytes, 16 sums i16
#include <array>

#include "formats/codec_table.h"

namespace moiety {
namespace {

void decode_q2_k(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 84, out += 256) {
    const float d = load_f16(in + 80), dmin = load_f16(in + 82);
    for (size_t s = 0; s < 16; s++) {  // 128 numbers share 32 bytes, two bits of each at a time
      const float scale = d * static_cast<float>(u8_at(in, s) & 15), minimum = dmin * static_cast<float>(u8_at(in, s) >> 4);
      const std::byte* q = in + 16 + s / 8 * 32 + s % 2 * 16;
      const uint32_t shift = s % 8 / 2 * 2;
      for (size_t i = 0; i < 16; i++) out[s * 16 + i] = scale * static_cast<float>(u8_at(q, i) >> shift & 3) - minimum;
    }
  }
}

void decode_q3_k(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 110, out += 256) {
    const float d = load_f16(in + 108);
    const std::byte *high = in, *low = in + 32, *packed = in + 96;
    for (size_t s = 0; s < 16; s++) {
      const uint32_t four = u8_at(packed, s % 8) >> (s < 8 ? 0 : 4) & 15, two = u8_at(packed + 8, s % 4) >> (s / 4 * 2) & 3;
      const float scale = d * static_cast<float>(static_cast<int>(four | two << 4) - 32);
      const std::byte *q = low + s / 8 * 32 + s % 2 * 16, *h = high + s % 2 * 16;
      const uint32_t shift = s % 8 / 2 * 2, bit = s / 2;
      for (size_t i = 0; i < 16; i++)
        out[s * 16 + i] = scale * static_cast<float>(static_cast<int>(u8_at(q, i) >> shift & 3) - (u8_at(h, i) >> bit & 1 ? 0 : 4));
    }
  }
}

// Scale and minimum of sub-block s, 6 bits each: the first four lie plain, the last four's upper bits in the first bytes' tops.
void scale_and_minimum(const std::byte* packed, size_t s, uint32_t& scale, uint32_t& minimum) {
  if (s < 4) {
    scale = u8_at(packed, s) & 63;
    minimum = u8_at(packed, s + 4) & 63;
  } else {
    scale = (u8_at(packed, s + 4) & 15) | u8_at(packed, s - 4) >> 6 << 4;
    minimum = u8_at(packed, s + 4) >> 4 | u8_at(packed, s) >> 6 << 4;
  }
}

void decode_q4_k(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 144, out += 256) {
    const float d = load_f16(in), dmin = load_f16(in + 2);
    for (size_t s = 0; s < 8; s++) {
      uint32_t sc, mn;
      scale_and_minimum(in + 4, s, sc, mn);
      const float scale = d * static_cast<float>(sc), minimum = dmin * static_cast<float>(mn);
      const std::byte* q = in + 16 + s / 2 * 32;
      const uint32_t shift = s % 2 * 4;
      for (size_t i = 0; i < 32; i++) out[s * 32 + i] = scale * static_cast<float>(u8_at(q, i) >> shift & 15) - minimum;
    }
  }
}

void decode_q5_k(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 176, out += 256) {
    const float d = load_f16(in), dmin = load_f16(in + 2);
    for (size_t s = 0; s < 8; s++) {
      uint32_t sc, mn;
      scale_and_minimum(in + 4, s, sc, mn);
      const float scale = d * static_cast<float>(sc), minimum = dmin * static_cast<float>(mn);
      const std::byte *high = in + 16, *q = in + 48 + s / 2 * 32;
      const uint32_t shift = s % 2 * 4;
      for (size_t i = 0; i < 32; i++)
        out[s * 32 + i] = scale * static_cast<float>((u8_at(q, i) >> shift & 15) | (u8_at(high, i) >> s & 1) << 4) - minimum;
    }
  }
}

void decode_q6_k(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 210, out += 256) {
    const float d = load_f16(in + 208);
    for (size_t g = 0; g < 8; g++) {  // 32 numbers: half h, quarter k of it
      const size_t h = g / 4, k = g % 4;
      const std::byte *low = in + h * 64 + k % 2 * 32, *high = in + 128 + h * 32;
      const uint32_t low_shift = k / 2 * 4, high_shift = k * 2;
      for (size_t i = 0; i < 32; i++) {
        const float scale = d * static_cast<float>(static_cast<int8_t>(u8_at(in + 192, g * 2 + i / 16)));
        const uint32_t q = (u8_at(low, i) >> low_shift & 15) | (u8_at(high, i) >> high_shift & 3) << 4;
        out[g * 32 + i] = scale * static_cast<float>(static_cast<int>(q) - 32);
      }
    }
  }
}

void decode_q8_k(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 292, out += 256) {
    const float d = load<float>(in);
    for (size_t i = 0; i < 256; i++) out[i] = d * static_cast<float>(static_cast<int8_t>(u8_at(in + 4, i)));
  }
}

constexpr std::array rows = {
    Codec{TensorType::q2_k, decode_q2_k, encode_q2_k}, Codec{TensorType::q3_k, decode_q3_k, encode_q3_k}, Codec{TensorType::q4_k, decode_q4_k, encode_q4_k},
    Codec{TensorType::q5_k, decode_q5_k, encode_q5_k}, Codec{TensorType::q6_k, decode_q6_k, encode_q6_k}, Codec{TensorType::q8_k, decode_q8_k},
};

}  // namespace

std::span<const Codec> k_codecs() { return rows; }

}  // namespace moiety
