// Codecs at their edges: every 16-bit float, every 8-bit one, blocks of zeros, numbers too large or too small for a block's scale.
#include "formats/codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "formats/half.h"

namespace moiety {
namespace {

constexpr uint32_t all_types = 1100;

std::vector<TensorType> types_where(bool (*holds)(TensorType)) {
  std::vector<TensorType> types;
  for (uint32_t number = 0; number < all_types; number++)
    if (find_type(number) && holds(static_cast<TensorType>(number))) types.push_back(static_cast<TensorType>(number));
  return types;
}

TEST(Codec, EveryTypeDecodes) {
  for (uint32_t number = 0; number < all_types; number++)
    if (const TypeInfo* info = find_type(number)) {
      EXPECT_TRUE(can_decode(info->type)) << info->name;
    }
}

TEST(Codec, EveryHalfComesBack) {
  for (uint32_t bits = 0; bits < 65536; bits++) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const float value = from_f16(half);
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(value), mantissa != 0) << bits;
      EXPECT_EQ(std::isinf(value), mantissa == 0) << bits;
    } else {
      const double size = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
      EXPECT_EQ(value, half & 0x8000 ? -size : size) << bits;
    }
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(from_f16(to_f16(value)))) << bits;
    else
      EXPECT_EQ(to_f16(value), half) << bits;
    const float brain = from_bf16(half);
    if (std::isnan(brain))
      EXPECT_TRUE(std::isnan(from_bf16(to_bf16(brain)))) << bits;
    else
      EXPECT_EQ(to_bf16(brain), half) << bits;
  }
}

TEST(Codec, RoundsHalvesToEven) {
  EXPECT_EQ(from_f16(to_f16(2049)), 2048);
  EXPECT_EQ(from_f16(to_f16(2051)), 2052);
  EXPECT_EQ(from_f16(to_f16(65519.99f)), 65504);
  EXPECT_TRUE(std::isinf(from_f16(to_f16(65520))));
  EXPECT_EQ(from_bf16(to_bf16(257)), 256);
  EXPECT_EQ(from_bf16(to_bf16(259)), 260);
}

TEST(Codec, EveryEightBitFloat) {
  for (uint32_t bits = 0; bits < 256; bits++) {
    const std::byte byte = static_cast<std::byte>(bits);
    const double sign = bits & 128 ? -1 : 1;
    float value;
    decode(TensorType::f8_e4m3, &byte, {&value, 1});
    const int e4 = bits >> 3 & 15, m3 = bits & 7;
    if ((bits & 127) == 127)
      EXPECT_TRUE(std::isnan(value)) << bits;
    else
      EXPECT_EQ(value, sign * (e4 ? std::ldexp(8 + m3, e4 - 10) : std::ldexp(m3, -9))) << bits;
    decode(TensorType::f8_e5m2, &byte, {&value, 1});
    const int e5 = bits >> 2 & 31, m2 = bits & 3;
    if (e5 == 31 && m2)
      EXPECT_TRUE(std::isnan(value)) << bits;
    else
      EXPECT_EQ(value, sign * (e5 == 31 ? INFINITY : e5 ? std::ldexp(4 + m2, e5 - 17) : std::ldexp(m2, -16))) << bits;
  }
}

std::vector<float> round_trip(TensorType type, const std::vector<float>& row) {
  std::vector<std::byte> bytes(bytes_of(type, row.size()));
  encode_row(type, row, {}, bytes.data());
  std::vector<float> back(row.size());
  decode(type, bytes.data(), back);
  return back;
}

TEST(Codec, ZerosStayZeros) {
  for (TensorType type : types_where(can_encode))
    for (float value : round_trip(type, std::vector<float>(512, 0))) EXPECT_EQ(value, 0) << type_info(type).name;
}

TEST(Codec, ComesBackNearby) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> row(1024);
  for (float& x : row) x = normal(random);
  for (TensorType type : types_where(can_encode)) {
    const std::vector<float> back = round_trip(type, row);
    double error = 0, size = 0;
    for (size_t i = 0; i < row.size(); i++) error += std::pow(back[i] - row[i], 2), size += row[i] * row[i];
    const double bits = 8.0 * type_info(type).block_bytes / type_info(type).block;
    EXPECT_LT(error / size, std::pow(4, 2 - std::min(bits, 9.0))) << type_info(type).name << ", seed 7";
  }
}

TEST(Codec, ExtremesDoNotCrash) {
  const float extremes[] = {INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 1e-45f, 7e4f, 1e-8f};
  for (TensorType type : types_where(can_encode))
    for (float one : extremes) {
      std::vector<float> row(512, one);
      round_trip(type, row);
      for (size_t i = 0; i < row.size(); i += 3) row[i] = 0.5f;
      round_trip(type, row);
    }
}

TEST(Codec, AnyBytesDecode) {
  std::mt19937 random(11);
  for (TensorType type : types_where(can_decode)) {
    const TypeInfo& info = type_info(type);
    std::vector<std::byte> bytes(info.block_bytes * 64);
    std::vector<float> out(info.block * 64);
    for (int round = 0; round < 20; round++) {
      for (std::byte& b : bytes) b = static_cast<std::byte>(random());
      decode(type, bytes.data(), out);
    }
    for (std::byte fill : {std::byte{0}, std::byte{255}}) {
      std::fill(bytes.begin(), bytes.end(), fill);
      decode(type, bytes.data(), out);
    }
  }
}

}  // namespace
}  // namespace moiety
