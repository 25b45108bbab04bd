// Encoders of the super-blocks: Q2_K to Q6_K. codec_k.cc draws the layouts.
//
// Each sub-block first gets the scale (and minimum) that suits it best. Then, by turns, every sub-block takes the stored scale nearest to
// that which errs least, and the super-block's own scales are solved for with all integers fixed.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "formats/codec_search.h"
#include "formats/codec_table.h"

namespace moiety {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// What is stored for 256 numbers; q and the scales as integers from 0 or, of signed types, from their lowest.
struct Super {
  uint16_t d = 0, dmin = 0;
  std::array<float, 16> scale = {}, minimum = {};
  std::array<uint8_t, 256> q = {};
};

struct Shape {
  size_t sub;      // numbers of a sub-block
  Grid integers;
  Grid scales;
};

Line line_of(const Super& s, size_t i) { return {from_f16(s.d) * s.scale[i], -from_f16(s.dmin) * s.minimum[i]}; }

// The stored scale and minimum, among the neighbours of the ideal ones, with the least error; which it returns.
float choose_scales(Weighted sub, Line ideal, const Shape& shape, Super& super, size_t i) {
  const float scale = nearest(ideal.scale * inverse(from_f16(super.d)), shape.scales);
  const float minimum = nearest(-ideal.offset * inverse(from_f16(super.dmin)), shape.scales);
  const bool minima = from_f16(super.dmin) != 0;
  float least = infinity, best_scale = scale, best_minimum = minima ? minimum : 0;
  for (float s = std::max(scale - 1, shape.scales.low); s <= std::min(scale + 1, shape.scales.high); s++)
    for (float m = minima ? std::max(minimum - 1, 0.0f) : 0; m <= (minima ? std::min(minimum + 1, shape.scales.high) : 0); m++) {
      super.scale[i] = s;
      super.minimum[i] = m;
      const float error = squared_error(sub, line_of(super, i), shape.integers);
      if (error < least) least = error, best_scale = s, best_minimum = m;
    }
  super.scale[i] = best_scale;
  super.minimum[i] = best_minimum;
  return least;
}

// d and dmin by least squares, all integers fixed: x is near d * (scale q) - dmin * minimum.
Line solve_super(Weighted v, const Super& super, const Shape& shape) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (size_t i = 0; i < 256; i++) {
    const double w = v.weight[i], x = v.x[i];
    const double a = super.scale[i / shape.sub] * (super.q[i] + shape.integers.low), b = -super.minimum[i / shape.sub];
    aa += w * a * a, ab += w * a * b, bb += w * b * b, ax += w * a * x, bx += w * b * x;
  }
  const double determinant = aa * bb - ab * ab;
  if (bb == 0 || !(determinant > 0)) return {aa > 0 ? static_cast<float>(ax / aa) : 0, 0};
  return {static_cast<float>((ax * bb - bx * ab) / determinant), static_cast<float>((aa * bx - ab * ax) / determinant)};
}

Super encode_super(Weighted v, const Shape& shape, bool with_minimum) {
  std::array<Line, 16> ideal;
  Line most;  // the widest scale and the lowest offset
  const size_t subs = 256 / shape.sub;
  for (size_t i = 0; i < subs; i++) {
    const Weighted sub = v.part(i * shape.sub, shape.sub);
    ideal[i] = with_minimum ? fit_line(sub, shape.integers.high, true) : Line{fit_scale(sub, shape.integers), 0};
    if (std::abs(ideal[i].scale) > std::abs(most.scale)) most.scale = ideal[i].scale;
    most.offset = std::min(most.offset, ideal[i].offset);
  }
  // The lowest scale of a signed type reaches one further.
  Line d = {most.scale / (with_minimum ? shape.scales.high : shape.scales.low), -most.offset / shape.scales.high};
  Super best;
  float least = infinity;
  for (int turn = 0; turn < 4; turn++) {
    Super super;
    super.d = to_finite_f16(d.scale);
    super.dmin = to_finite_f16(d.offset);
    float error = 0;
    for (size_t i = 0; i < subs; i++) {
      const Weighted sub = v.part(i * shape.sub, shape.sub);
      error += choose_scales(sub, ideal[i], shape, super, i);
      quantise(sub, line_of(super, i), shape.integers, super.q.data() + i * shape.sub);
    }
    if (turn > 0 && !(error < least)) break;
    least = error;
    best = super;
    const Line solved = solve_super(v, super, shape);
    d = {solved.scale, with_minimum ? solved.offset : 0};
  }
  return best;
}

template <size_t bytes, class Put>
void encode_blocks(std::span<const float> row, std::span<const float> importance, std::byte* out, const Shape& shape, bool with_minimum,
                   Put put) {
  Importance weights(importance);
  for (size_t begin = 0; begin < row.size(); begin += 256, out += bytes) {
    std::memset(out, 0, bytes);
    put(encode_super(weights.block(row, begin, 256), shape, with_minimum), out);
  }
}

void add_bits(std::byte& to, uint32_t bits) { to |= static_cast<std::byte>(bits); }
void put_f16(std::byte* out, uint16_t bits) { std::memcpy(out, &bits, 2); }

void put_q2_k(const Super& super, std::byte* out) {
  for (size_t s = 0; s < 16; s++) {
    out[s] = static_cast<std::byte>(static_cast<uint32_t>(super.scale[s]) | static_cast<uint32_t>(super.minimum[s]) << 4);
    for (size_t i = 0; i < 16; i++) add_bits(out[16 + s / 8 * 32 + s % 2 * 16 + i], super.q[s * 16 + i] << (s % 8 / 2 * 2));
  }
  put_f16(out + 80, super.d);
  put_f16(out + 82, super.dmin);
}

void put_q3_k(const Super& super, std::byte* out) {
  for (size_t s = 0; s < 16; s++) {
    const uint32_t scale = static_cast<uint32_t>(super.scale[s] + 32);
    add_bits(out[96 + s % 8], (scale & 15) << (s < 8 ? 0 : 4));
    add_bits(out[104 + s % 4], scale >> 4 << (s / 4 * 2));
    for (size_t i = 0; i < 16; i++) {
      const uint32_t q = super.q[s * 16 + i];
      add_bits(out[32 + s / 8 * 32 + s % 2 * 16 + i], (q & 3) << (s % 8 / 2 * 2));
      add_bits(out[s % 2 * 16 + i], q >> 2 << (s / 2));
    }
  }
  put_f16(out + 108, super.d);
}

// d, dmin and the 6-bit scales and minima of Q4_K and Q5_K.
void put_header(const Super& super, std::byte* out) {
  put_f16(out, super.d);
  put_f16(out + 2, super.dmin);
  for (size_t s = 0; s < 8; s++) {
    const uint32_t scale = static_cast<uint32_t>(super.scale[s]), minimum = static_cast<uint32_t>(super.minimum[s]);
    if (s < 4) {
      add_bits(out[4 + s], scale);
      add_bits(out[8 + s], minimum);
    } else {
      add_bits(out[8 + s], (scale & 15) | (minimum & 15) << 4);
      add_bits(out[s], scale >> 4 << 6);
      add_bits(out[4 + s], minimum >> 4 << 6);
    }
  }
}

void put_q4_k(const Super& super, std::byte* out) {
  put_header(super, out);
  for (size_t i = 0; i < 256; i++) add_bits(out[16 + i / 64 * 32 + i % 32], super.q[i] << (i / 32 % 2 * 4));
}

void put_q5_k(const Super& super, std::byte* out) {
  put_header(super, out);
  for (size_t i = 0; i < 256; i++) {
    add_bits(out[48 + i / 64 * 32 + i % 32], (super.q[i] & 15u) << (i / 32 % 2 * 4));
    add_bits(out[16 + i % 32], super.q[i] >> 4 << (i / 32));
  }
}

void put_q6_k(const Super& super, std::byte* out) {
  for (size_t s = 0; s < 16; s++) out[192 + s] = static_cast<std::byte>(static_cast<int8_t>(super.scale[s]));
  for (size_t i = 0; i < 256; i++) {
    const size_t half = i / 128, quarter = i / 32 % 4;
    add_bits(out[half * 64 + quarter % 2 * 32 + i % 32], (super.q[i] & 15u) << (quarter / 2 * 4));
    add_bits(out[128 + half * 32 + i % 32], super.q[i] >> 4 << (quarter * 2));
  }
  put_f16(out + 208, super.d);
}

}  // namespace

void encode_q2_k(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  encode_blocks<84>(row, importance, out, {16, {0, 3}, {0, 15}}, true, put_q2_k);
}
void encode_q3_k(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  encode_blocks<110>(row, importance, out, {16, {-4, 3}, {-32, 31}}, false, put_q3_k);
}
void encode_q4_k(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  encode_blocks<144>(row, importance, out, {32, {0, 15}, {0, 63}}, true, put_q4_k);
}
void encode_q5_k(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  encode_blocks<176>(row, importance, out, {32, {0, 31}, {0, 63}}, true, put_q5_k);
}
void encode_q6_k(std::span<const float> row, std::span<const float> importance, std::byte* out) {
  encode_blocks<210>(row, importance, out, {16, {-32, 31}, {-128, 127}}, false, put_q6_k);
}

}  // namespace moiety
