#include "formats/codec_search.h"

#include <algorithm>
#include <cmath>

namespace moiety {
namespace {

// Eight partial sums, so that the loops vectorise without reordering what a sum means.
constexpr size_t lanes = 8;

float total(const float (&part)[lanes]) {
  return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}

// Weighted sums over numbers x and the integers q that stand for them.
struct Sums {
  float w, x, q, qq, xq;
};

Sums sums(Weighted v, Line line, Grid grid) {
  float w[lanes] = {}, x[lanes] = {}, q[lanes] = {}, qq[lanes] = {}, xq[lanes] = {};
  const float inv = inverse(line.scale);
  for (size_t i = 0; i < v.n; i += lanes)
    for (size_t j = 0; j < lanes; j++) {
      const float number = v.x[i + j], weight = v.weight[i + j];
      const float integer = nearest((number - line.offset) * inv, grid), weighted = weight * integer;
      w[j] += weight;
      x[j] += weight * number;
      q[j] += weighted;
      qq[j] += weighted * integer;
      xq[j] += weighted * number;
    }
  return {total(w), total(x), total(q), total(qq), total(xq)};
}

// Least squares for the integers that `line` rounds to.
Line solve(Weighted v, Line line, Grid grid, bool offset_below_zero) {
  const Sums s = sums(v, line, grid);
  const float determinant = s.w * s.qq - s.q * s.q;
  if (!(determinant > 0)) return line;
  Line solved = {(s.w * s.xq - s.x * s.q) / determinant, (s.qq * s.x - s.q * s.xq) / determinant};
  if (offset_below_zero && solved.offset > 0) solved = {s.xq / s.qq, 0};
  return solved.scale > 0 ? solved : line;
}

}  // namespace

float squared_error(Weighted v, Line line, Grid grid) {
  float error[lanes] = {};
  const float inv = inverse(line.scale);
  for (size_t i = 0; i < v.n; i += lanes)
    for (size_t j = 0; j < lanes; j++) {
      const float number = v.x[i + j];
      const float off = number - (line.scale * nearest((number - line.offset) * inv, grid) + line.offset);
      error[j] += v.weight[i + j] * off * off;
    }
  return total(error);
}

void quantise(Weighted v, Line line, Grid grid, uint8_t* out) {
  const float inv = inverse(line.scale);
  for (size_t i = 0; i < v.n; i++) out[i] = static_cast<uint8_t>(nearest((v.x[i] - line.offset) * inv, grid) - grid.low);
}

float fit_scale(Weighted v, Grid grid) {
  float extreme = 0;
  for (size_t i = 0; i < v.n; i++)
    if (std::abs(v.x[i]) > std::abs(extreme)) extreme = v.x[i];
  if (extreme == 0) return 0;
  float best = extreme / grid.low, least = squared_error(v, {best, 0}, grid);
  const auto consider = [&](float scale) {
    const Sums s = sums(v, {scale, 0}, grid);
    if (!(s.qq > 0)) return;
    scale = s.xq / s.qq;
    const float error = squared_error(v, {scale, 0}, grid);
    if (error < least) least = error, best = scale;
  };
  // Rounding to 8 bits errs too little for another range to matter.
  const int steps = grid.low < -64 ? 0 : 10;
  for (float end : {grid.low, grid.high})
    for (int step = -steps; step <= steps; step++) consider(extreme / (end + 0.1f * static_cast<float>(step)));
  for (int turn = 0; turn < 3; turn++) consider(best);
  return best;
}

Line fit_line(Weighted v, float levels, bool offset_below_zero) {
  const Grid grid = {0, levels};
  auto [low, high] = std::minmax_element(v.x, v.x + v.n);
  const float bottom = offset_below_zero ? std::min(*low, 0.0f) : *low, span = *high - bottom;
  if (!(span > 0)) return {0, bottom};
  Line best = {span / levels, bottom};
  float least = squared_error(v, best, grid);
  const auto consider = [&](Line line) {
    line = solve(v, line, grid, offset_below_zero);
    const float error = squared_error(v, line, grid);
    if (error < least) least = error, best = line;
  };
  for (int step = -10; step <= 14; step++) consider({span / (levels + 0.1f * static_cast<float>(step)), bottom});
  for (int turn = 0; turn < 4; turn++) consider(best);
  return best;
}

Weighted Importance::block(std::span<const float> row, size_t begin, size_t count) {
  float sum = 0;
  if (!importance_.empty())
    for (size_t i = 0; i < count; i++) {
      const float weight = importance_[begin + i];
      weights_[i] = weight > 0 ? weight : 0;
      sum += weights_[i];
    }
  if (!(sum > 0)) std::fill_n(weights_, count, 1.0f);
  return {row.data() + begin, weights_, count};
}

}  // namespace moiety
