// Types without blocks: floats of all sizes and integers.
#include <array>
#include <cmath>
#include <limits>

#include "formats/codec_table.h"

namespace moiety {
namespace {

template <class T>
void decode_as(const std::byte* in, size_t n, float* out) {
  for (size_t i = 0; i < n; i++) out[i] = static_cast<float>(load<T>(in + i * sizeof(T)));
}

void decode_f16(const std::byte* in, size_t n, float* out) {
  for (size_t i = 0; i < n; i++) out[i] = load_f16(in + 2 * i);
}

void decode_bf16(const std::byte* in, size_t n, float* out) {
  for (size_t i = 0; i < n; i++) out[i] = from_bf16(load<uint16_t>(in + 2 * i));
}

// OCP 8-bit floats: e4m3 without infinities (all ones is NaN), e5m2 as IEEE would have it.
float from_e4m3(uint32_t bits) {
  const float sign = bits & 0x80 ? -1.0f : 1.0f;
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  return sign * (exponent ? std::ldexp(8.0f + static_cast<float>(mantissa), exponent - 10) : std::ldexp(static_cast<float>(mantissa), -9));
}

float from_e5m2(uint32_t bits) { return from_f16(static_cast<uint16_t>(bits << 8)); }

template <float (*convert)(uint32_t)>
void decode_f8(const std::byte* in, size_t n, float* out) {
  static const auto table = [] {
    std::array<float, 256> t;
    for (uint32_t i = 0; i < 256; i++) t[i] = convert(i);
    return t;
  }();
  for (size_t i = 0; i < n; i++) out[i] = table[u8_at(in, i)];
}

void encode_f32(std::span<const float> row, std::span<const float>, std::byte* out) {
  if (!row.empty()) std::memcpy(out, row.data(), row.size_bytes());
}

template <uint16_t (*convert)(float)>
void encode_16(std::span<const float> row, std::span<const float>, std::byte* out) {
  for (size_t i = 0; i < row.size(); i++) {
    const uint16_t bits = convert(row[i]);
    std::memcpy(out + 2 * i, &bits, 2);
  }
}

constexpr std::array rows = {
    Codec{TensorType::f32, decode_as<float>, encode_f32},
    Codec{TensorType::f16, decode_f16, encode_16<to_f16>},
    Codec{TensorType::bf16, decode_bf16, encode_16<to_bf16>},
    Codec{TensorType::f64, decode_as<double>},
    Codec{TensorType::i8, decode_as<int8_t>},
    Codec{TensorType::i16, decode_as<int16_t>},
    Codec{TensorType::i32, decode_as<int32_t>},
    Codec{TensorType::i64, decode_as<int64_t>},
    Codec{TensorType::u8, decode_as<uint8_t>},
    Codec{TensorType::boolean, decode_as<uint8_t>},
    Codec{TensorType::f8_e4m3, decode_f8<from_e4m3>},
    Codec{TensorType::f8_e5m2, decode_f8<from_e5m2>},
};

}  // namespace

std::span<const Codec> plain_codecs() { return rows; }

}  // namespace moiety
