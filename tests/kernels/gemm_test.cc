#include "kernels/gemm.h"

#include <cmath>
#include <limits>

#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// A matrix in memory, either way round, with NaN wherever a product must not look.
struct Stored {
  std::vector<float> numbers;  // [rows, cols] as meant
  std::vector<float> memory;
  GemmOperand operand;
};

class GemmTest : public OnEveryIsa {
 protected:
  Stored stored(size_t rows, size_t cols, bool turned) {
    Stored out{normal(rows * cols), {}, {}};
    const size_t outer = turned ? cols : rows, inner = turned ? rows : cols, stride = inner + 3;
    out.memory.assign(outer * stride + 64, nan);
    for (size_t i = 0; i < rows; i++)
      for (size_t j = 0; j < cols; j++) out.memory[turned ? j * stride + i : i * stride + j] = out.numbers[i * cols + j];
    out.operand = turned ? transposed(out.memory.data(), stride) : in_rows(out.memory.data(), stride);
    return out;
  }
};

TEST_F(GemmTest, EqualsPlainSumsAndWritesNothingElse) {
  Workers workers(2);
  std::vector<GemmRoom> rooms;
  on_every_isa([&] {
    for (int round = 0; round < 60; round++) {
      const size_t m = 1 + random_() % 70, n = 1 + random_() % 70, k = round % 7 == 0 ? 500 + random_() % 600 : 1 + random_() % 70;
      const Stored a = stored(m, k, round & 1), b = stored(k, n, round & 2);
      const size_t c_row = n + 2;
      const std::vector<float> before = normal(m * c_row);
      std::vector<float> c = before;
      const Gemm product{a.operand, b.operand, c.data(), c_row, m, n, k, bool(round & 4)};
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
  on_every_isa([&] {
    const size_t m = 700, n = 300, k = 530;
    const Stored a = stored(m, k, false), b = stored(k, n, true);
    std::vector<float> one(m * n), c(m * n);
    std::vector<GemmRoom> rooms(1);
    gemm_alone({a.operand, b.operand, one.data(), n, m, n, k}, rooms[0]);
    for (size_t threads : {1, 2, 5}) {
      Workers workers(threads);
      const Gemm product{a.operand, b.operand, c.data(), n, m, n, k};
      gemm({&product, 1}, rooms, workers);
      ASSERT_EQ(c, one) << threads;
    }
    for (size_t row : {0, 13, 699}) {
      std::vector<float> alone(n);
      GemmOperand from = a.operand;
      from.data += row * from.row;
      gemm_alone({from, b.operand, alone.data(), n, 1, n, k}, rooms[0]);
      ASSERT_EQ(alone, std::vector<float>(one.begin() + row * n, one.begin() + (row + 1) * n));
    }
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
