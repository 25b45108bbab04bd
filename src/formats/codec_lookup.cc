// Four bits that name one of 16 values: MXFP4, NVFP4 (small floats), IQ4_NL, IQ4_XS (a curve).
//
//   MXFP4   32 numbers: exponent byte (E8M0), 16 bytes: low nibbles are numbers 0-15, high nibbles 16-31
//   NVFP4   64 numbers: 4 scales (unsigned E4M3), 4 of 8 bytes for 16 numbers each
//   IQ4_NL  32 numbers: d f16, 16 bytes
//   IQ4_XS  256 numbers in 8 sub-blocks of 32: d f16, u16 of 2 upper scale bits each, 4 bytes of lower 4, 128 bytes
#include "formats/codec_lookup.h"

#include "formats/codec_table.h"

namespace moiety {
namespace {

// 2 * half numbers from `half` bytes: the low nibbles, then the high ones.
template <size_t half>
void decode_nibbles(const std::byte* in, const SixteenValues& values, float scale, float* out) {
  for (size_t i = 0; i < half; i++) {
    const uint32_t q = u8_at(in, i);
    out[i] = scale * values[q & 15];
    out[i + half] = scale * values[q >> 4];
  }
}

// Half of an E4M3 number whose sign is not looked at; all ones, the NaN, counts as 0 where the top bit is clear.
float half_ue4m3(uint32_t bits) {
  if (bits == 0x7f) return 0;
  const uint32_t exponent = bits >> 3 & 15;
  const float mantissa = static_cast<float>(bits & 7);
  if (exponent == 0) return mantissa * 0x1p-10f;
  return (8 + mantissa) * std::bit_cast<float>((exponent + 127 - 11) << 23);
}

void decode_mxfp4(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 17, out += 32) decode_nibbles<16>(in + 1, fp4_values, half_e8m0(u8_at(in, 0)), out);
}

void decode_nvfp4(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 36, out += 64)
    for (size_t s = 0; s < 4; s++) decode_nibbles<8>(in + 4 + s * 8, fp4_values, half_ue4m3(u8_at(in, s)), out + s * 16);
}

void decode_iq4_nl(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 18, out += 32) decode_nibbles<16>(in + 2, iq4_values, load_f16(in), out);
}

void decode_iq4_xs(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 136, out += 256) {
    const float d = load_f16(in);
    const uint32_t upper = load<uint16_t>(in + 2);
    for (size_t s = 0; s < 8; s++) {
      const uint32_t scale = (u8_at(in + 4, s / 2) >> (s % 2 * 4) & 15) | (upper >> (2 * s) & 3) << 4;
      decode_nibbles<16>(in + 8 + s * 16, iq4_values, d * static_cast<float>(static_cast<int>(scale) - 32), out + s * 32);
    }
  }
}

constexpr std::array rows = {
    Codec{TensorType::mxfp4, decode_mxfp4, encode_mxfp4}, Codec{TensorType::nvfp4, decode_nvfp4},
    Codec{TensorType::iq4_nl, decode_iq4_nl, encode_iq4_nl}, Codec{TensorType::iq4_xs, decode_iq4_xs, encode_iq4_xs},
};

}  // namespace

std::span<const Codec> lookup_codecs() { return rows; }

}  // namespace moiety
