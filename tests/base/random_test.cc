#include "base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace moiety {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of Random123's kat_vectors for philox4x32, 10 rounds.
TEST(Random, PhiloxGivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, EveryPartOfTheKeyCounts) {
  const auto stream = RandomStream::sampling;
  const std::set<double> draws = {uniform(1, 2, stream),           uniform(2, 2, stream),
                                  uniform(1ull << 32, 2, stream),  uniform(1, 3, stream),
                                  uniform(1, 1ull << 32, stream),  uniform(1, 2, RandomStream::routing),
                                  uniform(1, 2, stream, 1)};
  EXPECT_EQ(draws.size(), 7u);
  EXPECT_EQ(uniform(1, 2, stream), uniform(1, 2, stream));
}

TEST(Random, UniformIsUniform) {
  double sum = 0, squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; i++) {
    const double u = uniform(7, static_cast<uint64_t>(i), RandomStream::sampling);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / n, 0.5, 0.005);
  EXPECT_NEAR(squares / n, 1.0 / 3, 0.005);
}

}  // namespace
}  // namespace moiety
