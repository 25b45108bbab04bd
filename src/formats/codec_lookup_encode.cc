// Encoders of IQ4_NL, IQ4_XS and MXFP4. codec_lookup.cc draws the layouts.
//
// A scale is tried for a handful of ranges around the numbers' own; each time every number takes the nearest value, and, where the
// scale is free, least squares solves for it.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "formats/codec_lookup.h"
#include "formats/codec_search.h"
#include "formats/codec_table.h"

namespace moiety {
namespace {

constexpr size_t block = 32;

// How many values of the curve lie below the number: the place of the nearest one.
uint32_t nearest_on_curve(float number) {
  uint32_t at = 0;
  for (size_t i = 0; i + 1 < iq4_values.size(); i++) at += number > (iq4_values[i] + iq4_values[i + 1]) / 2;
  return at;
}

struct Fit {
  float scale, error;
};

// The error of a scale, and the scale that suits the same values best.
Fit try_scale(Weighted v, float scale, float& solved) {
  const float inv = inverse(scale);
  float error = 0, xq = 0, qq = 0;
  for (size_t i = 0; i < block; i++) {
    const float q = iq4_values[nearest_on_curve(v.x[i] * inv)], off = v.x[i] - scale * q;
    error += v.weight[i] * off * off;
    xq += v.weight[i] * v.x[i] * q;
    qq += v.weight[i] * q * q;
  }
  solved = qq > 0 ? xq / qq : 0;
  return {scale, error};
}

// The scale, of either sign, that errs least.
float fit_curve(Weighted v) {
  float extreme = 0;
  for (size_t i = 0; i < block; i++)
    if (std::abs(v.x[i]) > std::abs(extreme)) extreme = v.x[i];
  if (extreme == 0) return 0;
  Fit best = {0, std::numeric_limits<float>::infinity()};
  const auto consider = [&](float scale) {
    for (int turn = 0; turn < 3; turn++) {
      float solved;
      const Fit fit = try_scale(v, scale, solved);
      if (fit.error < best.error) best = fit;
      if (solved == scale) return;
      scale = solved;
    }
  };
  for (float end : {iq4_values.front(), iq4_values.back()})
    for (int step = -8; step <= 8; step++) consider(extreme / (end + 2 * static_cast<float>(step)));
  return best.scale;
}

void put_nibbles(Weighted v, float scale, std::byte* out) {
  const float inv = inverse(scale);
  for (size_t i = 0; i < block / 2; i++)
    out[i] = static_cast<std::byte>(nearest_on_curve(v.x[i] * inv) | nearest_on_curve(v.x[i + block / 2] * inv) << 4);
}

// IQ4_XS: what is stored of 256 numbers but the nibbles.
struct SuperScales {
  uint16_t d = 0;
  std::array<float, 8> scale = {};
  float error = 0;
};

// The integer scale, among the neighbours of the ideal one, that errs least.
SuperScales round_scales(Weighted v, const std::array<float, 8>& ideal, float d) {
  SuperScales out;
  out.d = to_finite_f16(d);
  const float stored = from_f16(out.d);
  for (size_t s = 0; s < 8; s++) {
    const float middle = nearest(ideal[s] * inverse(stored), {-32, 31});
    float least = std::numeric_limits<float>::infinity(), solved;
    for (float scale = std::max(middle - 1, -32.0f); scale <= std::min(middle + 1, 31.0f); scale++)
      if (const float error = try_scale(v.part(s * block, block), stored * scale, solved).error; error < least) least = error, out.scale[s] = scale;
    out.error += least;
  }
  return out;
}

// d by least squares, with the integer scales and the nibbles fixed.
float solve_super(Weighted v, const SuperScales& super) {
  double xq = 0, qq = 0;
  for (size_t i = 0; i < 256; i++) {
    const float scale = super.scale[i / block], q = iq4_values[nearest_on_curve(v.x[i] * inverse(from_f16(super.d) * scale))] * scale;
    xq += static_cast<double>(v.weight[i]) * v.x[i] * q;
    qq += static_cast<double>(v.weight[i]) * q * q;
  }
  return qq > 0 ? static_cast<float>(xq / qq) : 0;
}

SuperScales fit_super(Weighted v) {
  std::array<float, 8> ideal;
  float most = 0;
  for (size_t s = 0; s < 8; s++) {
    ideal[s] = fit_curve(v.part(s * block, block));
    if (std::abs(ideal[s]) > std::abs(most)) most = ideal[s];
  }
  SuperScales best = round_scales(v, ideal, most / -32);
  for (int turn = 0; turn < 3; turn++) {
    const SuperScales next = round_scales(v, ideal, solve_super(v, best));
    if (!(next.error < best.error)) break;
    best = next;
  }
  return best;
}

// The nearest of the magnitudes 0, 1, 2, 3, 4, 6, 8, 12 with the number's sign, as the four bits that name it.
uint32_t nearest_fp4(float number) {
  constexpr std::array<float, 7> between = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
  uint32_t at = 0;
  for (float middle : between) at += std::abs(number) > middle;
  return at | (number < 0 ? 8u : 0u);
}

float fp4_error(Weighted v, uint32_t exponent) {
  const float scale = half_e8m0(exponent), inv = 1 / scale;
  float error = 0;
  for (size_t i = 0; i < block; i++) {
    const float off = v.x[i] - scale * fp4_values[nearest_fp4(v.x[i] * inv)];
    error += v.weight[i] * off * off;
  }
  return error;
}

}  // namespace

void encode_iq4_nl(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  Importance weights(importance);
  for (size_t begin = 0; begin < row.size(); begin += block, out += 18) {
    const Weighted v = weights.block(row, begin, block);
    const uint16_t d = to_finite_f16(fit_curve(v));
    std::memcpy(out, &d, 2);
    put_nibbles(v, from_f16(d), out + 2);
  }
}

void encode_iq4_xs(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  Importance weights(importance);
  for (size_t begin = 0; begin < row.size(); begin += 256, out += 136) {
    const Weighted v = weights.block(row, begin, 256);
    const SuperScales super = fit_super(v);
    std::memset(out, 0, 8);
    std::memcpy(out, &super.d, 2);
    uint32_t upper = 0;
    for (size_t s = 0; s < 8; s++) {
      const uint32_t scale = static_cast<uint32_t>(super.scale[s] + 32);
      out[4 + s / 2] |= static_cast<std::byte>((scale & 15) << (s % 2 * 4));
      upper |= scale >> 4 << (2 * s);
      put_nibbles(v.part(s * block, block), from_f16(super.d) * super.scale[s], out + 8 + s * 16);
    }
    const auto word = static_cast<uint16_t>(upper);
    std::memcpy(out + 2, &word, 2);
  }
}

void encode_mxfp4(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  Importance weights(importance);
  for (size_t begin = 0; begin < row.size(); begin += block, out += 17) {
    const Weighted v = weights.block(row, begin, block);
    float most = 0;
    for (size_t i = 0; i < block; i++) most = std::max(most, std::abs(v.x[i]));
    // The scale under which the largest number is just below 12, or a neighbour: a step up clips nothing, a step down clips the largest.
    const int middle = most > 0 ? std::min(std::ilogb(most / 12), 127) + 1 + 128 : 0;  // of infinity ilogb is INT_MAX
    uint32_t best = 0;
    float least = std::numeric_limits<float>::infinity();
    for (int exponent = std::clamp(middle - 2, 0, 254); exponent <= std::clamp(middle + 1, 0, 254); exponent++)
      if (const float error = fp4_error(v, static_cast<uint32_t>(exponent)); error < least) least = error, best = static_cast<uint32_t>(exponent);
    out[0] = static_cast<std::byte>(best);
    const float inv = 1 / half_e8m0(best);
    for (size_t i = 0; i < block / 2; i++)
      out[1 + i] = static_cast<std::byte>(nearest_fp4(v.x[i] * inv) | nearest_fp4(v.x[i + block / 2] * inv) << 4);
  }
}

}  // namespace moiety
