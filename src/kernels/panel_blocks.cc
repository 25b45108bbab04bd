// The layouts are those that formats/codec_legacy.cc, codec_k.cc, codec_lookup.cc and codec_ternary.cc draw.
#include "kernels/panel_blocks.h"

#include <cstring>

namespace moiety {
namespace {

uint32_t byte_at(const std::byte* p, size_t i) { return static_cast<uint32_t>(p[i]); }
uint16_t word_at(const std::byte* p) {
  uint16_t out;
  std::memcpy(&out, p, 2);
  return out;
}

// 16 bytes: low nibbles are the codes 0-15, high nibbles 16-31.
void nibbles(const std::byte* in, uint8_t* codes) {
  for (size_t i = 0; i < 16; i++) {
    codes[i] = static_cast<uint8_t>(byte_at(in, i) & 15);
    codes[i + 16] = static_cast<uint8_t>(byte_at(in, i) >> 4);
  }
}

// 32 bits: the fifth bits of 32 codes.
void fifth_bits(const std::byte* in, uint8_t* codes) {
  for (size_t i = 0; i < 32; i++) codes[i] = static_cast<uint8_t>(codes[i] | (byte_at(in, i / 8) >> (i % 8) & 1) << 4);
}

SuperBlock legacy(TensorType type, const std::byte* in) {
  SuperBlock out;
  const bool minimum = type == TensorType::q4_1 || type == TensorType::q5_1, fifth = type == TensorType::q5_0 || type == TensorType::q5_1;
  out.d = word_at(in);
  in += 2;
  if (minimum) out.dmin = word_at(in), in += 2;
  if (type == TensorType::q8_0) {
    std::memcpy(out.codes, in, 32);
    return out;
  }
  nibbles(in + (fifth ? 4 : 0), out.codes);
  if (fifth) fifth_bits(in, out.codes);
  return out;
}

SuperBlock q2_k(const std::byte* in) {
  SuperBlock out;
  out.d = word_at(in + 80), out.dmin = word_at(in + 82);
  std::memcpy(out.scales, in, 16);
  for (size_t s = 0; s < 16; s++)
    for (size_t i = 0; i < 16; i++)
      out.codes[s * 16 + i] = static_cast<uint8_t>(byte_at(in + 16 + s / 8 * 32 + s % 2 * 16, i) >> (s % 8 / 2 * 2) & 3);
  return out;
}

SuperBlock q3_k(const std::byte* in) {
  SuperBlock out;
  out.d = word_at(in + 108);
  const std::byte *high = in, *low = in + 32, *packed = in + 96;
  for (size_t s = 0; s < 16; s++) {
    const uint32_t four = byte_at(packed, s % 8) >> (s < 8 ? 0 : 4) & 15, two = byte_at(packed + 8, s % 4) >> (s / 4 * 2) & 3;
    out.scales[s] = static_cast<uint8_t>(static_cast<int>(four | two << 4) - 32);
    for (size_t i = 0; i < 16; i++) {
      const uint32_t q = byte_at(low + s / 8 * 32 + s % 2 * 16, i) >> (s % 8 / 2 * 2) & 3, h = byte_at(high + s % 2 * 16, i) >> (s / 2) & 1;
      out.codes[s * 16 + i] = static_cast<uint8_t>(q | h << 2);
    }
  }
  return out;
}

// Q4_K and Q5_K: 12 bytes of 6-bit scales and minima; the first four lie plain, the last four's upper bits in the first bytes' tops.
SuperBlock q45_k(const std::byte* in, bool fifth) {
  SuperBlock out;
  out.d = word_at(in), out.dmin = word_at(in + 2);
  const std::byte* packed = in + 4;
  for (size_t s = 0; s < 4; s++) {
    out.scales[s] = static_cast<uint8_t>(byte_at(packed, s) & 63);
    out.minima[s] = static_cast<uint8_t>(byte_at(packed, s + 4) & 63);
    out.scales[s + 4] = static_cast<uint8_t>((byte_at(packed, s + 8) & 15) | byte_at(packed, s) >> 6 << 4);
    out.minima[s + 4] = static_cast<uint8_t>(byte_at(packed, s + 8) >> 4 | byte_at(packed, s + 4) >> 6 << 4);
  }
  const std::byte *high = in + 16, *low = in + (fifth ? 48 : 16);
  for (size_t s = 0; s < 8; s++)
    for (size_t i = 0; i < 32; i++) {
      const uint32_t q = byte_at(low + s / 2 * 32, i) >> (s % 2 * 4) & 15, h = fifth ? (byte_at(high, i) >> s & 1) << 4 : 0;
      out.codes[s * 32 + i] = static_cast<uint8_t>(q | h);
    }
  return out;
}

SuperBlock q6_k(const std::byte* in) {
  SuperBlock out;
  out.d = word_at(in + 208);
  std::memcpy(out.scales, in + 192, 16);
  for (size_t g = 0; g < 8; g++) {
    const size_t h = g / 4, k = g % 4;
    const std::byte *low = in + h * 64 + k % 2 * 32, *high = in + 128 + h * 32;
    for (size_t i = 0; i < 32; i++)
      out.codes[g * 32 + i] = static_cast<uint8_t>((byte_at(low, i) >> (k / 2 * 4) & 15) | (byte_at(high, i) >> (k * 2) & 3) << 4);
  }
  return out;
}

SuperBlock iq4_xs(const std::byte* in) {
  SuperBlock out;
  out.d = word_at(in);
  const uint32_t upper = word_at(in + 2);
  for (size_t s = 0; s < 8; s++) {
    const uint32_t scale = (byte_at(in + 4, s / 2) >> (s % 2 * 4) & 15) | (upper >> (2 * s) & 3) << 4;
    out.scales[s] = static_cast<uint8_t>(static_cast<int>(scale) - 32);
    nibbles(in + 8 + s * 16, out.codes + s * 32);
  }
  return out;
}

// The scale that counts as 0 becomes one; a byte's top bit never counts.
SuperBlock nvfp4(const std::byte* in) {
  SuperBlock out;
  for (size_t s = 0; s < 4; s++) {
    out.scales[s] = static_cast<uint8_t>(byte_at(in, s) == 0x7f ? 0 : byte_at(in, s) & 0x7f);
    for (size_t i = 0; i < 8; i++) {
      const uint32_t two = byte_at(in + 4 + s * 8, i);
      out.codes[s * 16 + i] = static_cast<uint8_t>(two & 15), out.codes[s * 16 + 8 + i] = static_cast<uint8_t>(two >> 4);
    }
  }
  return out;
}

// Digits in base 3, one array of bytes after another; each byte holds one number of every run of `width`.
void ternary_digits(const std::byte* in, size_t width, size_t digits, uint8_t* codes) {
  for (uint32_t power = 1; digits > 0; digits--, power *= 3, codes += width)
    for (size_t i = 0; i < width; i++) codes[i] = static_cast<uint8_t>((byte_at(in, i) * power & 255) * 3 >> 8);
}

SuperBlock tq1_0(const std::byte* in) {
  SuperBlock out;
  out.d = word_at(in + 52);
  ternary_digits(in, 32, 5, out.codes);
  ternary_digits(in + 32, 16, 5, out.codes + 160);
  ternary_digits(in + 48, 4, 4, out.codes + 240);
  return out;
}

SuperBlock tq2_0(const std::byte* in) {
  SuperBlock out;
  out.d = word_at(in + 64);
  for (size_t g = 0; g < 8; g++)
    for (size_t i = 0; i < 32; i++) out.codes[g * 32 + i] = static_cast<uint8_t>(byte_at(in, g / 4 * 32 + i) >> (g % 4 * 2) & 3);
  return out;
}

// Q1_0 and Q2_0: neighbours in a byte, the first lowest.
SuperBlock neighbours(const std::byte* in, size_t count, uint32_t bits) {
  SuperBlock out;
  out.d = word_at(in);
  for (size_t i = 0; i < count; i++) out.codes[i] = static_cast<uint8_t>(byte_at(in + 2, i * bits / 8) >> (i * bits % 8) & ((1u << bits) - 1));
  return out;
}

}  // namespace

SuperBlock take_apart(const PanelFormat& format, const std::byte* block) {
  SuperBlock out;
  switch (format.type) {
    case TensorType::q2_k: return q2_k(block);
    case TensorType::q3_k: return q3_k(block);
    case TensorType::q4_k: return q45_k(block, false);
    case TensorType::q5_k: return q45_k(block, true);
    case TensorType::q6_k: return q6_k(block);
    case TensorType::iq4_xs: return iq4_xs(block);
    case TensorType::iq4_nl:
      out.d = word_at(block);
      nibbles(block + 2, out.codes);
      return out;
    case TensorType::mxfp4:
      out.d = static_cast<uint16_t>(byte_at(block, 0));
      nibbles(block + 1, out.codes);
      return out;
    case TensorType::nvfp4: return nvfp4(block);
    case TensorType::tq1_0: return tq1_0(block);
    case TensorType::tq2_0: return tq2_0(block);
    case TensorType::q1_0: return neighbours(block, 128, 1);
    case TensorType::q2_0: return neighbours(block, 64, 2);
    default: return legacy(format.type, block);
  }
}

}  // namespace moiety
