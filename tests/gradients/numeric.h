// Gradients by differences, in double: the judge of every backward pass here.
#pragma once
#include <cmath>
#include <span>
#include <vector>

#include <gtest/gtest.h>

namespace moiety {

using Doubles = std::vector<double>;
inline Doubles doubles(std::span<const float> x) { return {x.begin(), x.end()}; }

// Of gradients whose products round their operands to bf16, against the largest: on the way to one of them eight operands at most are rounded (two in
// each of two products forward and two back), on average by less than 2^-9 of itself, and errors point anywhere.
constexpr double bf16_tolerance = 8 * 0x1p-9;

// loss() reads x; `gradient` is what a backward pass says of every number of x.
template <class Loss>
void expect_gradient(Doubles& x, std::span<const float> gradient, Loss loss, double tolerance = 2e-5) {
  ASSERT_EQ(x.size(), gradient.size());
  double size = 0;
  Doubles expected(x.size());
  for (size_t i = 0; i < x.size(); i++) {
    const double before = x[i], step = 1e-4;
    double at[4];
    for (int k = 0; k < 4; k++) {
      x[i] = before + step * (k < 2 ? k - 2 : k - 1);
      at[k] = loss();
    }
    x[i] = before;
    expected[i] = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / (12 * step);
    size = std::max(size, std::abs(expected[i]));
  }
  ASSERT_GT(size, 0);
  for (size_t i = 0; i < x.size(); i++) ASSERT_NEAR(gradient[i], expected[i], tolerance * size) << i;
}

}  // namespace moiety
