// Super-blocks of 256 numbers that choose points of a grid: IQ1_S, IQ1_M, IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S.
//
//   IQ2_XXS  d f16, 8 of (4 byte indices, u32: 4 signs of 7 bits and a scale of 4)
//   IQ2_XS   d f16, 32 of u16 (index 9 bits, sign 7 bits), 8 bytes of 4-bit scales
//   IQ2_S    d f16, 32 low bytes of indices, 32 bytes of signs, 8 bytes of upper index bits, 8 bytes of 4-bit scales
//   IQ3_XXS  d f16, 64 byte indices, 8 of u32 (4 signs of 7 bits and a scale of 4)
//   IQ3_S    d f16, 64 low bytes of indices, 8 bytes of ninth bits, 32 bytes of signs, 4 bytes of 4-bit scales
//   IQ1_S    d f16, 32 low bytes of indices, 8 of u16 (4 times 3 upper index bits, a scale of 3 bits, the sign of the shift)
//   IQ1_M    32 low bytes of indices, 16 bytes (twice 3 upper index bits and the sign of the shift), 4 of u16 (4 scales of 3 bits, a
//            quarter of d's f16)
#include "formats/codec_table.h"
#include "formats/iq_points.h"

namespace moiety {
namespace {

uint32_t nibble(const std::byte* p, size_t i) { return u8_at(p, i / 2) >> (i % 2 * 4) & 15; }

// A set bit of `signs` negates its number.
template <size_t numbers>
void signed_point(const std::array<int8_t, numbers>& point, uint32_t signs, float scale, float* out) {
  for (size_t i = 0; i < numbers; i++) out[i] = scale * static_cast<float>(signs >> i & 1 ? -point[i] : point[i]);
}

void decode_iq2_xxs(const std::byte* in, size_t blocks, float* out) {
  static const auto grid = unpack<8>(iq2_xxs_grid, two_bit);
  for (; blocks > 0; blocks--, in += 66) {
    const float d = load_f16(in);
    for (size_t s = 0; s < 8; s++) {
      const std::byte* q = in + 2 + s * 8;
      const uint32_t rest = load<uint32_t>(q + 4);
      const float scale = d * (0.5f + static_cast<float>(rest >> 28)) * 0.25f;
      for (size_t l = 0; l < 4; l++, out += 8) signed_point(grid[u8_at(q, l)], eight_signs(rest >> 7 * l), scale, out);
    }
  }
}

void decode_iq2_xs(const std::byte* in, size_t blocks, float* out) {
  static const auto grid = unpack<8>(iq2_xs_grid, two_bit);
  for (; blocks > 0; blocks--, in += 74) {
    const float d = load_f16(in);
    for (size_t l = 0; l < 32; l++, out += 8) {
      const uint32_t q = load<uint16_t>(in + 2 + l * 2);
      const float scale = d * (0.5f + static_cast<float>(nibble(in + 66, l / 2))) * 0.25f;
      signed_point(grid[q & 511], eight_signs(q >> 9), scale, out);
    }
  }
}

void decode_iq2_s(const std::byte* in, size_t blocks, float* out) {
  static const auto grid = unpack<8>(iq2_s_grid, two_bit);
  for (; blocks > 0; blocks--, in += 82) {
    const float d = load_f16(in);
    const std::byte *low = in + 2, *signs = in + 34, *high = in + 66, *scales = in + 74;
    for (size_t l = 0; l < 32; l++, out += 8) {
      const uint32_t index = u8_at(low, l) | (u8_at(high, l / 4) >> (l % 4 * 2) & 3) << 8;
      const float scale = d * (0.5f + static_cast<float>(nibble(scales, l / 2))) * 0.25f;
      signed_point(grid[index], u8_at(signs, l), scale, out);
    }
  }
}

void decode_iq3_xxs(const std::byte* in, size_t blocks, float* out) {
  static const auto grid = unpack<4>(iq3_xxs_grid, xxs_three_bit);
  for (; blocks > 0; blocks--, in += 98) {
    const float d = load_f16(in);
    for (size_t s = 0; s < 8; s++) {
      const std::byte* q = in + 2 + s * 8;
      const uint32_t rest = load<uint32_t>(in + 66 + s * 4);
      const float scale = d * (0.5f + static_cast<float>(rest >> 28)) * 0.5f;
      for (size_t l = 0; l < 4; l++, out += 8) {
        const uint32_t signs = eight_signs(rest >> 7 * l);
        signed_point(grid[u8_at(q, l * 2)], signs, scale, out);
        signed_point(grid[u8_at(q, l * 2 + 1)], signs >> 4, scale, out + 4);
      }
    }
  }
}

void decode_iq3_s(const std::byte* in, size_t blocks, float* out) {
  static const auto grid = unpack<4>(iq3_s_grid, s_three_bit);
  for (; blocks > 0; blocks--, in += 110) {
    const float d = load_f16(in);
    const std::byte *low = in + 2, *ninth = in + 66, *signs = in + 74, *scales = in + 106;
    for (size_t j = 0; j < 64; j++, out += 4) {
      const uint32_t index = u8_at(low, j) | (u8_at(ninth, j / 8) >> (j % 8) & 1) << 8;
      const float scale = d * static_cast<float>(1 + 2 * nibble(scales, j / 8));
      signed_point(grid[index], u8_at(signs, j / 2) >> (j % 2 * 4), scale, out);
    }
  }
}

// The IQ1 types shift all points of a group by an eighth, up or down.
void shifted_point(const std::array<int8_t, 8>& point, bool down, float scale, float* out) {
  const float shift = down ? -0.125f : 0.125f;
  for (size_t i = 0; i < 8; i++) out[i] = scale * (static_cast<float>(point[i]) + shift);
}

const Grid<2048, 8>& ternary_grid() {
  static const auto grid = unpack<8>(iq1_grid, ternary);
  return grid;
}

void decode_iq1_s(const std::byte* in, size_t blocks, float* out) {
  const auto& grid = ternary_grid();
  for (; blocks > 0; blocks--, in += 50) {
    const float d = load_f16(in);
    for (size_t l = 0; l < 32; l++, out += 8) {
      const uint32_t rest = load<uint16_t>(in + 34 + l / 4 * 2);
      const uint32_t index = u8_at(in + 2, l) | (rest >> (l % 4 * 3) & 7) << 8;
      shifted_point(grid[index], rest >> 15, d * static_cast<float>(2 * (rest >> 12 & 7) + 1), out);
    }
  }
}

void decode_iq1_m(const std::byte* in, size_t blocks, float* out) {
  const auto& grid = ternary_grid();
  for (; blocks > 0; blocks--, in += 56) {
    const std::byte *high = in + 32, *scales = in + 48;
    uint32_t d_bits = 0;
    for (size_t i = 0; i < 4; i++) d_bits |= static_cast<uint32_t>(load<uint16_t>(scales + 2 * i) >> 12) << 4 * i;
    const float d = from_f16(static_cast<uint16_t>(d_bits));
    for (size_t l = 0; l < 32; l++, out += 8) {
      const uint32_t rest = nibble(high, l), s = static_cast<uint32_t>(l / 2);
      const uint32_t scale = load<uint16_t>(scales + s / 4 * 2) >> (s % 4 * 3) & 7;
      shifted_point(grid[u8_at(in, l) | (rest & 7) << 8], rest >> 3, d * static_cast<float>(2 * scale + 1), out);
    }
  }
}

constexpr std::array rows = {
    Codec{TensorType::iq2_xxs, decode_iq2_xxs}, Codec{TensorType::iq2_xs, decode_iq2_xs}, Codec{TensorType::iq2_s, decode_iq2_s},
    Codec{TensorType::iq3_xxs, decode_iq3_xxs}, Codec{TensorType::iq3_s, decode_iq3_s},   Codec{TensorType::iq1_s, decode_iq1_s},
    Codec{TensorType::iq1_m, decode_iq1_m},
};

}  // namespace

std::span<const Codec> iq_codecs() { return rows; }

}  // namespace moiety
