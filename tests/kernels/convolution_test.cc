#include "kernels/convolution.h"

#include <cmath>

#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using Convolution = OnEveryIsa;

TEST_F(Convolution, EqualsTheSumOverTheTokensBefore) {
  on_every_isa([&] {
    for (size_t length : {1, 2, 4})
      for (size_t n : {1, 7, 64, 77})
        for (bool with_bias : {false, true}) {
          const size_t stride = n + 3, tokens = 6;
          const std::vector<float> taps = normal(length * n), inputs = normal(tokens * n), bias = with_bias ? normal(n) : std::vector<float>();
          std::vector<float> history(length * stride);
          for (size_t t = 0; t < tokens; t++) {
            std::vector<float> x(inputs.begin() + static_cast<ptrdiff_t>(t * n), inputs.begin() + static_cast<ptrdiff_t>((t + 1) * n));
            convolve(taps, bias, history.data(), stride, x);
            for (size_t i = 0; i < n; i++) {
              double expected = with_bias ? bias[i] : 0;
              for (size_t j = 0; j < length; j++)
                if (t + j + 1 >= length) expected += double{taps[j * n + i]} * inputs[(t + j + 1 - length) * n + i];
              ASSERT_NEAR(x[i], expected, 2e-6 * (1 + std::abs(expected))) << length << " " << n << " " << t;
            }
          }
          for (size_t i = n; i < history.size(); i++) {
            if (i % stride >= n) {
              ASSERT_EQ(history[i], 0) << "beyond the row";
            }
          }
        }
  });
}

}  // namespace
}  // namespace moiety
