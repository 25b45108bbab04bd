#include "kernels/gemm.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();

// The nearest number of 8 binary digits, of two the even one.
float nearest_bf16(float x) {
  int exponent;
  const double digits = std::frexp(static_cast<double>(x), &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(digits, 8)), exponent - 8));
}

// A matrix in memory, either way round, with NaN wherever a product must not look.
struct Stored {
  std::vector<float> numbers;  // [rows, cols] as they are multiplied
  std::vector<float> memory;
  GemmOperand operand;
};

class GemmTest : public OnEveryIsa {
 protected:
  Stored stored(std::vector<float> numbers, size_t rows, size_t cols, bool turned, Precision precision = Precision::f32) {
    Stored out{std::move(numbers), {}, {}};
    const size_t outer = turned ? cols : rows, inner = turned ? rows : cols, stride = inner + 3;
    out.memory.assign(outer * stride + 64, nan);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++) out.memory[turned ? j * stride + i : i * stride + j] = out.numbers[i * cols + j];
    if (precision == Precision::bf16) std::ranges::transform(out.numbers, out.numbers.begin(), nearest_bf16);
    out.operand = turned ? transposed(out.memory.data(), stride) : in_rows(out.memory.data(), stride);
    return out;
  }
  Stored stored(size_t rows, size_t cols, bool turned, Precision precision = Precision::f32) { return stored(normal(rows * cols), rows, cols, turned, precision); }
};

TEST_F(GemmTest, EqualsPlainSumsAndWritesNothingElse) {
  Workers workers(2);
  std::vector<GemmRoom> rooms;
  on_every_isa([&] {
    for (int round = 0; round < 120; round++) {
      const Precision precision = round & 8 ? Precision::bf16 : Precision::f32;
      const size_t m = 1 + random_() % 70, n = 1 + random_() % 70, k = round % 7 == 0 ? 500 + random_() % 600 : 1 + random_() % 70;
      const Stored a = stored(m, k, round & 1, precision), b = stored(k, n, round & 2, precision);
      const size_t c_row = n + 2;
      const std::vector<float> before = normal(m * c_row);
      std::vector<float> c = before;
      const Gemm product{a.operand, b.operand, c.data(), c_row, m, n, k, bool(round & 4), precision};
      gemm({&product, 1}, rooms, workers);
      for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
          double sum = product.add ? before[i * c_row + j] : 0, size = std::abs(sum);
          for (size_t d = 0; d < k; d++) {
            const double term = static_cast<double>(a.numbers[i * k + d]) * b.numbers[d * n + j];
            sum += term, size += std::abs(term);
          }
          ASSERT_NEAR(c[i * c_row + j], sum, 2e-6 * size) << m << " " << n << " " << k << " at " << i << ", " << j;
        }
        for (size_t j = n; j < c_row; j++) ASSERT_EQ(c[i * c_row + j], before[i * c_row + j]);
      }
    }
  });
}

TEST_F(GemmTest, BitsDependOnNothingButRowAndColumn) {
  for (Precision precision : {Precision::f32, Precision::bf16}) on_every_isa([&] {
    const size_t m = 700, n = 300, k = 530;
    const Stored a = stored(m, k, false), b = stored(k, n, true);
    std::vector<float> one(m * n), c(m * n);
    std::vector<GemmRoom> rooms(1);
    gemm_alone({a.operand, b.operand, one.data(), n, m, n, k, false, precision}, rooms[0]);
    for (size_t threads : {1, 2, 5}) {
      Workers workers(threads);
      const Gemm product{a.operand, b.operand, c.data(), n, m, n, k, false, precision};
      gemm({&product, 1}, rooms, workers);
      ASSERT_EQ(c, one) << threads;
    }
    for (size_t row : {0, 13, 699}) {
      std::vector<float> alone(n);
      GemmOperand from = a.operand;
      from.data += row * from.row;
      gemm_alone({from, b.operand, alone.data(), n, 1, n, k, false, precision}, rooms[0]);
      ASSERT_EQ(alone, std::vector<float>(one.begin() + row * n, one.begin() + (row + 1) * n));
    }
  });
}

// Each number meets a one alone, so that what comes out is what it was rounded to: wherever it is packed, in a whole tile or at an end.
TEST_F(GemmTest, Bf16RoundsToTheNearestOfTwoToTheEven) {
  const float unit = 0x1p-7f;  // between 1 and 2
  std::vector<std::pair<float, float>> cases{{1, 1}, {1 + unit / 2, 1}, {1 + 1.5f * unit, 1 + 2 * unit}, {1 + 0.51f * unit, 1 + unit}, {-1 - 0.49f * unit, -1}, {0, 0},
                                             {3.4e38f, infinity}, {-infinity, -infinity}, {nan, nan}, {std::bit_cast<float>(0x7f800001u), nan}, {std::bit_cast<float>(0xffffffffu), nan}};
  for (float x : normal(50)) cases.emplace_back(x, nearest_bf16(x));
  std::vector<float> numbers, expected;
  for (const auto& [from, to] : cases) numbers.push_back(from), expected.push_back(to);
  const size_t n = cases.size();
  std::vector<GemmRoom> rooms(1);
  on_every_isa([&] {
    const float one = 1;
    for (bool turned : {false, true}) {
      const Stored column = stored(numbers, n, 1, turned), row = stored(numbers, 1, n, turned);
      std::vector<float> from_a(n), from_b(n);
      gemm_alone({column.operand, in_rows(&one, 1), from_a.data(), 1, n, 1, 1, false, Precision::bf16}, rooms[0]);
      gemm_alone({in_rows(&one, 1), row.operand, from_b.data(), n, 1, n, 1, false, Precision::bf16}, rooms[0]);
      for (size_t i = 0; i < n; i++)
        for (float got : {from_a[i], from_b[i]}) ASSERT_TRUE(std::isnan(expected[i]) ? std::isnan(got) : got == expected[i]) << numbers[i] << " became " << got;
    }
  });
}

// Some instructions take what is below the smallest normal number for zero; none makes more of it.
TEST_F(GemmTest, Bf16OfTheSmallestNumbers) {
  std::vector<GemmRoom> rooms(1);
  on_every_isa([&] {
    const std::vector<float> a{1e-39f, 2e-38f, -3e-45f, 1e-20f}, b{1, 1, 1, 1e-20f};
    float c;
    gemm_alone({in_rows(a.data(), 4), in_rows(b.data(), 1), &c, 1, 1, 1, 4, false, Precision::bf16}, rooms[0]);
    ASSERT_NEAR(c, 2e-38f, 1.2e-38f);
  });
}

TEST_F(GemmTest, EmptySums) {
  std::vector<GemmRoom> rooms(1);
  std::vector<float> c(6, 7.0f);
  const float nothing = 0;
  gemm_alone({in_rows(&nothing, 0), in_rows(&nothing, 3), c.data(), 3, 2, 3, 0, true}, rooms[0]);
  EXPECT_EQ(c, std::vector<float>(6, 7.0f));
  gemm_alone({in_rows(&nothing, 0), in_rows(&nothing, 3), c.data(), 3, 2, 3, 0}, rooms[0]);
  EXPECT_EQ(c, std::vector<float>(6, 0.0f));
  Workers workers(2);
  gemm({}, rooms, workers);
}

}  // namespace
}  // namespace moiety
