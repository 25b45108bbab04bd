// Blocks of 32 numbers with one scale, and perhaps a minimum: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1.
//
//   Q4_0  scale f16, 16 bytes: low nibbles are numbers 0-15, high nibbles 16-31          (q - 8) d
//   Q4_1  scale f16, minimum f16, 16 bytes                                               q d + m
//   Q5_0  scale f16, 32 fifth bits, 16 bytes                                             (q - 16) d
//   Q5_1  scale f16, minimum f16, 32 fifth bits, 16 bytes                                q d + m
//   Q8_0  scale f16, 32 signed bytes                                                     q d
//   Q8_1  scale f16, the sum f16, 32 signed bytes                                        q d
#include <array>
#include <cmath>

#include "formats/codec_table.h"

namespace moiety {
namespace {

void decode_q4_0(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 18, out += 32) {
    const float d = load_f16(in);
    for (size_t i = 0; i < 16; i++) {
      const int q = static_cast<int>(u8_at(in + 2, i));
      out[i] = static_cast<float>((q & 15) - 8) * d;
      out[i + 16] = static_cast<float>((q >> 4) - 8) * d;
    }
  }
}

void decode_q4_1(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 20, out += 32) {
    const float d = load_f16(in), m = load_f16(in + 2);
    for (size_t i = 0; i < 16; i++) {
      const int q = static_cast<int>(u8_at(in + 4, i));
      out[i] = static_cast<float>(q & 15) * d + m;
      out[i + 16] = static_cast<float>(q >> 4) * d + m;
    }
  }
}

void decode_q5_0(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 22, out += 32) {
    const float d = load_f16(in);
    const uint32_t fifth = load<uint32_t>(in + 2);
    for (size_t i = 0; i < 16; i++) {
      const uint32_t q = u8_at(in + 6, i);
      out[i] = static_cast<float>(static_cast<int>((q & 15) | (fifth >> i & 1) << 4) - 16) * d;
      out[i + 16] = static_cast<float>(static_cast<int>((q >> 4) | (fifth >> (i + 16) & 1) << 4) - 16) * d;
    }
  }
}

void decode_q5_1(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += 24, out += 32) {
    const float d = load_f16(in), m = load_f16(in + 2);
    const uint32_t fifth = load<uint32_t>(in + 4);
    for (size_t i = 0; i < 16; i++) {
      const uint32_t q = u8_at(in + 8, i);
      out[i] = static_cast<float>(static_cast<int>((q & 15) | (fifth >> i & 1) << 4)) * d + m;
      out[i + 16] = static_cast<float>(static_cast<int>((q >> 4) | (fifth >> (i + 16) & 1) << 4)) * d + m;
    }
  }
}

template <size_t header>
void decode_q8(const std::byte* in, size_t blocks, float* out) {
  for (; blocks > 0; blocks--, in += header + 32, out += 32) {
    const float d = load_f16(in);
    for (size_t i = 0; i < 32; i++) out[i] = static_cast<float>(static_cast<int8_t>(u8_at(in + header, i))) * d;
  }
}

constexpr std::array rows = {
    Codec{TensorType::q4_0, decode_q4_0, encode_scaled<4>}, Codec{TensorType::q4_1, decode_q4_1, encode_offset<4>},
    Codec{TensorType::q5_0, decode_q5_0, encode_scaled<5>}, Codec{TensorType::q5_1, decode_q5_1, encode_offset<5>},
    Codec{TensorType::q8_0, decode_q8<2>, encode_scaled<8>}, Codec{TensorType::q8_1, decode_q8<4>},
};

}  // namespace

std::span<const Codec> legacy_codecs() { return rows; }

}  // namespace moiety
