#include "kernels/matmul.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "formats/codec.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

class Matmul : public OnEveryIsa {
 protected:
  // Random bytes of a type; those of a quantised type may decode to anything finite, so scales are set to 1/64.
  static std::vector<std::byte> weights(TensorType type, size_t rows, size_t cols, std::mt19937& random) {
    std::vector<std::byte> bytes(rows * bytes_of(type, cols));
    if (type == TensorType::f32 || type == TensorType::f16 || type == TensorType::bf16) {
      std::vector<float> values(rows * cols);
      for (float& v : values) v = std::normal_distribution<float>()(random);
      encode_row(type, values, {}, bytes.data());
      return bytes;
    }
    for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 255);
    const size_t size = type_info(type).block_bytes, at = type == TensorType::q6_k ? 208 : 0;
    const bool minimum = type == TensorType::q4_1 || type == TensorType::q4_k;
    const uint16_t scale = 0x2400;  // 2^-6
    for (size_t b = 0; b < bytes.size(); b += size) {
      std::memcpy(bytes.data() + b + at, &scale, 2);
      if (minimum) std::memcpy(bytes.data() + b + 2, &scale, 2);
    }
    return bytes;
  }
};

constexpr TensorType types[] = {TensorType::f32,  TensorType::f16,  TensorType::bf16, TensorType::q4_0,
                                TensorType::q4_1, TensorType::q8_0, TensorType::q4_k, TensorType::q6_k};

// Against sums in double; the margin is that of a float32 sum of `cols` terms.
TEST_F(Matmul, EqualsTheDoubleSum) {
  on_every_isa([&] {
    for (TensorType type : types) {
      const size_t block = type_info(type).block;
      for (size_t blocks : {1, 2, 3, 7})
        for (size_t rows : {0, 1, 3, 4, 5, 9})
          for (size_t tokens : {0, 1, 2, 3, 4, 7}) {
            const size_t cols = block == 1 ? blocks * 11 : blocks * block;
            const auto bytes = weights(type, rows, cols, random_);
            const Matrix w{type, rows, cols, bytes.data(), bytes_of(type, cols)};
            std::vector<float> decoded(rows * cols), y(tokens * rows, std::numeric_limits<float>::quiet_NaN());
            if (rows) decode(type, bytes.data(), decoded);
            const auto x = normal(tokens * cols);
            matmul_rows(w, 0, rows, {x.data(), tokens, cols, cols}, {y.data(), tokens, rows, rows});
            for (size_t t = 0; t < tokens; t++)
              for (size_t r = 0; r < rows; r++) {
                double sum = 0, size = 0;
                for (size_t c = 0; c < cols; c++) {
                  const double product = static_cast<double>(decoded[r * cols + c]) * x[t * cols + c];
                  sum += product;
                  size += std::abs(product);
                }
                ASSERT_LE(std::abs(y[t * rows + r] - sum), 1e-6 * size + 1e-30)
                    << type_info(type).name << " [" << rows << ", " << cols << "] token " << t << " row " << r;
              }
          }
    }
  });
}

// A row's bits stay the same whatever stands beside it. Rows of x and y lie apart, with NaN between them that must not leak.
TEST_F(Matmul, BitsDependOnTheRowAlone) {
  on_every_isa([&] {
    for (TensorType type : types) {
      const size_t block = type_info(type).block, cols = block == 1 ? 203 : 3 * block, rows = 37, tokens = 101, stride = cols + 5;
      const auto bytes = weights(type, rows, cols, random_);
      const Matrix w{type, rows, cols, bytes.data(), bytes_of(type, cols)};
      std::vector<float> x(tokens * stride, std::numeric_limits<float>::quiet_NaN());
      for (size_t t = 0; t < tokens; t++) {
        const auto row = normal(cols);
        std::copy(row.begin(), row.end(), x.begin() + static_cast<ptrdiff_t>(t * stride));
      }
      std::vector<float> alone(tokens * rows);
      for (size_t t = 0; t < tokens; t++)
        for (size_t r = 0; r < rows; r++)
          matmul_rows(w, r, r + 1, {x.data() + t * stride, 1, cols, stride}, {&alone[t * rows + r], 1, 1, 1});
      for (float v : alone) ASSERT_TRUE(std::isfinite(v));
      for (size_t threads = 1; threads <= 4; threads++) {
        Workers workers(threads);
        std::vector<float> y(tokens * rows);
        Activations input(ConstRows{x.data(), tokens, cols, stride});
        matmul(w, input, {y.data(), tokens, rows, rows}, workers);
        ASSERT_EQ(std::memcmp(y.data(), alone.data(), y.size() * 4), 0) << type_info(type).name << ", " << threads << " threads";
      }
      for (size_t begin : {0, 1, 6}) {
        std::vector<float> y(tokens * (rows - begin));
        matmul_rows(w, begin, rows, {x.data(), tokens, cols, stride}, {y.data(), tokens, rows - begin, rows - begin});
        for (size_t t = 0; t < tokens; t++)
          ASSERT_EQ(std::memcmp(&y[t * (rows - begin)], &alone[t * rows + begin], (rows - begin) * 4), 0) << "from row " << begin;
      }
    }
  });
}

TEST_F(Matmul, WeightsAtAnyAddress) {
  on_every_isa([&] {
    const size_t rows = 5, cols = 19;
    const auto bytes = weights(TensorType::f32, rows, cols, random_);
    const auto x = normal(cols);
    std::vector<float> straight(rows), shifted(rows);
    std::vector<std::byte> moved(bytes.size() + 1);
    std::copy(bytes.begin(), bytes.end(), moved.begin() + 1);
    const ConstRows one{x.data(), 1, cols, cols};
    matmul_rows({TensorType::f32, rows, cols, bytes.data(), cols * 4}, 0, rows, one, {straight.data(), 1, rows, rows});
    matmul_rows({TensorType::f32, rows, cols, moved.data() + 1, cols * 4}, 0, rows, one, {shifted.data(), 1, rows, rows});
    EXPECT_EQ(straight, shifted);
    for (size_t r = 0; r < rows; r++)
      EXPECT_EQ(straight[r], dot(reinterpret_cast<const float*>(bytes.data()) + r * cols, x.data(), cols));
  });
}

}  // namespace
}  // namespace moiety
