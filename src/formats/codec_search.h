// The searches that the encoders share: which scale, and perhaps which offset, lets small integers come nearest to some numbers.
//
// Both try a handful of ranges around the numbers' own, solve each time for the least squares with the integers fixed, and polish the
// best by turns: round with the scale, solve for the scale. Errors are sums of squares, each with its weight.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/half.h"

namespace moiety {

// Numbers, a multiple of 8 of them, and the weight of each one's squared error.
struct Weighted {
  const float* x;
  const float* weight;
  size_t n;

  Weighted part(size_t begin, size_t count) const { return {x + begin, weight + begin, count}; }
};

// Integers from `low` to `high` stand for scale * integer + offset.
struct Grid {
  float low, high;
};
struct Line {
  float scale = 0, offset = 0;
};

// The nearest integer of the grid; NaN counts as the lowest.
inline float nearest(float value, Grid grid) {
  value = value > grid.low ? value : grid.low;
  value = value < grid.high ? value : grid.high;
  return value + 12582912.0f - 12582912.0f;  // 1.5 * 2^23: no fraction is left behind it
}

inline float inverse(float scale) { return scale != 0 ? 1 / scale : 0; }

// The nearest half that is finite.
inline uint16_t to_finite_f16(float value) {
  if (!(value > -65504.0f)) value = value <= -65504.0f ? -65504.0f : 0.0f;
  return to_f16(value < 65504.0f ? value : 65504.0f);
}

float squared_error(Weighted numbers, Line line, Grid grid);
// The nearest integers, with grid.low taken off.
void quantise(Weighted numbers, Line line, Grid grid, uint8_t* out);

// A scale of either sign and no offset.
float fit_scale(Weighted numbers, Grid grid);
// A scale that is not negative, for integers from 0 to `levels`; `offset_below_zero` keeps the offset from being positive.
Line fit_line(Weighted numbers, float levels, bool offset_below_zero);

// What a row's numbers weigh in blocks of up to 256: their importance, or one where there is none, or it is all zero.
class Importance {
 public:
  explicit Importance(std::span<const float> importance) : importance_(importance) {}
  // Valid until the next call.
  Weighted block(std::span<const float> row, size_t begin, size_t count);

 private:
  std::span<const float> importance_;
  float weights_[256];
};

}  // namespace moiety
