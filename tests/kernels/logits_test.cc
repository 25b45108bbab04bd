#include "kernels/logits.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using Logits = OnEveryIsa;
constexpr float infinity = std::numeric_limits<float>::infinity();

TEST_F(Logits, TheLargestUnlessOneIsWrong) {
  on_every_isa([&] {
    EXPECT_EQ(largest({}), -infinity);
    for (size_t n : {1, 2, 7, 31, 64, 577}) {
      std::vector<float> x = normal(n);
      EXPECT_EQ(largest(x), *std::ranges::max_element(x));
      for (size_t i = 0; i < n; i++) {
        for (float wrong : {std::nanf(""), infinity}) {
          const float right = std::exchange(x[i], wrong);
          EXPECT_TRUE(std::isnan(largest(x))) << wrong << " at " << i << " of " << n;
          x[i] = right;
        }
      }
      std::ranges::fill(x, -infinity);
      EXPECT_EQ(largest(x), -infinity);
      x.back() = -5;
      EXPECT_EQ(largest(x), -5);
    }
  });
}

TEST_F(Logits, KNumbersReachTheBound) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 63, 64, 65, 1000, 6400})
      for (size_t k : {0, 1, 2, 15, 40, 100, 101}) {
        std::vector<float> x = normal(n);
        const float bound = reached_by(x, k);
        if (k == 0 || k > n / 64) {
          EXPECT_EQ(bound, -infinity);
          continue;
        }
        EXPECT_GE(std::ranges::count_if(x, [&](float v) { return v >= bound; }), static_cast<ptrdiff_t>(k)) << n << " " << k;
        EXPECT_GE(bound, *std::ranges::min_element(x));
        if (k == 1) {
          EXPECT_EQ(bound, largest(std::span(x).first(n / 64 * 64)));
        }
      }
  });
}

TEST_F(Logits, MinusInfinityBoundsWhatHoldsNothingElse) {
  on_every_isa([&] {
    std::vector<float> x(640, -infinity);
    EXPECT_EQ(reached_by(x, 1), -infinity);
    x[200] = std::numeric_limits<float>::lowest();
    EXPECT_EQ(reached_by(x, 1), std::numeric_limits<float>::lowest());
    EXPECT_EQ(reached_by(x, 2), -infinity);
  });
}

TEST_F(Logits, PlacesAscend) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 7, 31, 64, 577})
      for (float least : {-infinity, -1.0f, 0.0f, 1.5f, infinity}) {
        std::vector<float> x = normal(n);
        if (n > 5) x[3] = std::nanf(""), x[5] = -infinity, x[n / 2] = least;
        std::vector<int32_t> expected;
        for (size_t i = 0; i < n; i++)
          if (x[i] >= least) expected.push_back(static_cast<int32_t>(i));
        EXPECT_EQ(places_from(x, least), expected);
      }
  });
}

TEST_F(Logits, SumsOfExponentials) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 2, 7, 31, 64, 577})
      for (double factor : {0.05, 1.0, 7.0}) {
        std::vector<float> x = normal(n);
        for (float& v : x) v = v * 20 - 300;
        if (n > 5) x[4] = -infinity, x[5] = std::numeric_limits<float>::lowest();
        const float top = largest(x);
        double expected = 0;
        for (float v : x) expected += std::exp((double{v} - top) * factor);
        EXPECT_NEAR(sum_of_exp(x, top, factor), expected, 1e-12 * expected) << n << " " << factor;
      }
  });
}

}  // namespace
}  // namespace moiety
