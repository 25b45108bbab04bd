// Gradients by differences, in double: the judge of every backward pass here.
#pragma once
#include <cmath>
#include <span>
#include <vector>

#include <gtest/gtest.h>

namespace moiety {

using Doubles = std::vector<double>;
inline Doubles doubles(std::span<const float> x) { return {x.begin(), x.end()}; }

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
