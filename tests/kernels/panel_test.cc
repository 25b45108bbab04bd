#include "kernels/panel.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "formats/codec.h"
#include "kernels/matmul.h"
#include "kernels/panel_product.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

constexpr TensorType all_types[] = {TensorType::q4_0, TensorType::q4_1, TensorType::q5_0, TensorType::q5_1,   TensorType::q8_0,   TensorType::q2_k,
                                    TensorType::q3_k, TensorType::q4_k, TensorType::q5_k, TensorType::q6_k,   TensorType::iq4_nl, TensorType::iq4_xs,
                                    TensorType::mxfp4, TensorType::f32, TensorType::f16,  TensorType::bf16};

// Random codes of every value, scales of moderate size.
std::vector<std::byte> random_weights(TensorType type, size_t rows, size_t cols, std::mt19937& random) {
  std::vector<std::byte> bytes(rows * bytes_of(type, cols));
  if (!panel_format(type)) {
    std::vector<float> values(rows * cols);
    for (float& v : values) v = std::normal_distribution<float>()(random);
    encode_row(type, values, {}, bytes.data());
    return bytes;
  }
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 255);
  const size_t size = type_info(type).block_bytes;
  const bool minimum = type == TensorType::q4_1 || type == TensorType::q5_1 || type == TensorType::q4_k || type == TensorType::q5_k;
  for (size_t b = 0; b < bytes.size(); b += size) {
    auto scale = [&](size_t at) {
      const uint16_t bits = static_cast<uint16_t>(0x2400 + random() % 1024 + (random() % 2 << 15));  // +-2^-6 to 2^-5
      std::memcpy(bytes.data() + b + at, &bits, 2);
    };
    switch (type) {
      case TensorType::q2_k: scale(80), scale(82); break;
      case TensorType::q3_k: scale(108); break;
      case TensorType::q6_k: scale(208); break;
      case TensorType::mxfp4: bytes[b] = static_cast<std::byte>(118 + random() % 8); break;
      default: scale(0);
    }
    if (minimum) scale(2);
  }
  return bytes;
}

struct Packed {
  std::vector<std::byte> stored, panels;
  Matrix matrix;
};

Packed packed(TensorType type, size_t rows, size_t cols, std::mt19937& random) {
  Packed out;
  out.stored = random_weights(type, rows, cols, random);
  out.matrix = {type, rows, cols, out.stored.data(), bytes_of(type, cols)};
  const size_t bytes = panel_bytes(type, cols);
  out.panels.resize(packed_bytes(type, rows, cols) + 4096);  // kernels ask ahead for lines, never read them
  for (size_t p = 0; p < panels(rows); p++) pack_panel(out.matrix, p, std::span(out.panels).subspan(p * bytes, bytes));
  out.matrix.panels = out.panels.data();
  return out;
}

class Panels : public OnEveryIsa {};

// The product of the decoded weights with the activations as they were quantised, in double. The margin is that of float32 sums.
TEST_F(Panels, ProductEqualsTheDoubleSum) {
  on_every_isa([&] {
    Workers workers(2);
    for (TensorType type : all_types)
      for (size_t rows : {1, 15, 16, 17, 40})
        for (size_t tokens : {1, 2, 3, 7, 8, 9, 20}) {
          const size_t cols = panel_format(type) ? panel_format(type)->columns * (1 + tokens % 3) : 32 + tokens;
          const Packed w = packed(type, rows, cols, random_);
          std::vector<float> decoded(rows * cols), x = normal(tokens * cols), y(tokens * rows, std::numeric_limits<float>::quiet_NaN());
          decode(type, w.stored.data(), decoded);
          Activations input(ConstRows{x.data(), tokens, cols, cols});
          matmul(w.matrix, input, {y.data(), tokens, rows, rows}, workers);
          for (size_t t = 0; t < tokens; t++)
            for (size_t r = 0; r < rows; r++) {
              double sum = 0, size = 0;
              for (size_t c = 0; c < cols; c++) {
                double value = x[t * cols + c];
                if (panel_format(type)) {
                  const Q8Block& block = input.q8(workers)[t][c / 32];
                  value = static_cast<double>(block.scale) * block.q[c % 32];
                }
                sum += decoded[r * cols + c] * value;
                // Types with minima subtract two larger sums from each other.
                size += std::abs(value) * (std::abs(decoded[r * cols + c]) + (type == TensorType::q2_k || type == TensorType::q4_k || type == TensorType::q5_k ? 2 : 0));
              }
              ASSERT_LE(std::abs(y[t * rows + r] - sum), 2e-6 * size) << type_info(type).name << " rows " << rows << " tokens " << tokens << " at " << t << "," << r;
            }
        }
  });
}

TEST_F(Panels, ARowHasTheSameBitsAloneAndAmongOthers) {
  on_every_isa([&] {
    Workers one(1), three(3);
    for (TensorType type : all_types) {
      const size_t rows = 37, cols = panel_format(type) ? 512 : 67, tokens = 23;
      const Packed w = packed(type, rows, cols, random_);
      const std::vector<float> x = normal(tokens * cols);
      std::vector<float> together(tokens * rows), alone(rows);
      Activations all(ConstRows{x.data(), tokens, cols, cols});
      matmul(w.matrix, all, {together.data(), tokens, rows, rows}, three);
      for (size_t t = 0; t < tokens; t++) {
        Activations row(ConstRows{x.data() + t * cols, 1, cols, cols});
        matmul(w.matrix, row, {alone.data(), 1, rows, rows}, one);
        ASSERT_EQ(std::memcmp(alone.data(), together.data() + t * rows, rows * sizeof(float)), 0) << type_info(type).name << " token " << t;
      }
    }
  });
}

// Extremes: all codes at their ends against activations at theirs, where 16-bit sums are fullest.
TEST_F(Panels, FullCodesDoNotOverflow) {
  on_every_isa([&] {
    Workers workers(1);
    for (TensorType type : all_types) {
      if (!panel_format(type)) continue;
      for (int fill : {0x00, 0xff, 0x7f, 0x80})
        for (float sign : {1.0f, -1.0f}) {
          const size_t cols = panel_format(type)->columns;
          Packed w = packed(type, 16, cols, random_);
          const std::vector<std::byte> scales = w.stored;
          std::vector<float> one_row(cols);
          for (size_t b = 0; b < w.stored.size(); b++) {
            const size_t at = b % type_info(type).block_bytes, last = type_info(type).block_bytes;
            const bool scale = type == TensorType::q2_k ? at >= 80 : type == TensorType::q3_k ? at >= 108 : type == TensorType::q6_k ? at >= 208 : at < std::min<size_t>(4, last);
            if (!scale) w.stored[b] = static_cast<std::byte>(fill);
          }
          pack_panel(w.matrix, 0, std::span(w.panels).first(panel_bytes(type, cols)));
          decode(type, w.stored.data(), one_row);
          std::vector<float> x(cols, sign), y(16);
          Activations input(ConstRows{x.data(), 1, cols, cols});
          matmul(w.matrix, input, {y.data(), 1, 16, 16}, workers);
          double sum = 0, size = 0;
          for (float v : one_row) sum += sign * v, size += std::abs(v) + 4;
          ASSERT_LE(std::abs(y[0] - sum), 4e-6 * size) << type_info(type).name << " fill " << fill;
        }
    }
  });
}

TEST_F(Panels, NumbersThatAreNotFiniteShow) {
  on_every_isa([&] {
    Workers workers(1);
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
      const Packed w = packed(TensorType::q4_k, 16, 256, random_);
      std::vector<float> x = normal(256), y(16);
      x[77] = bad;
      Activations input(ConstRows{x.data(), 1, 256, 256});
      matmul(w.matrix, input, {y.data(), 1, 16, 16}, workers);
      for (float v : y) ASSERT_TRUE(std::isnan(v));
    }
  });
}

TEST_F(Panels, QuantisedRowsAreNearAndSumRight) {
  on_every_isa([&] {
    for (size_t cols : {1, 31, 32, 33, 100, 256}) {
      const std::vector<float> x = normal(cols);
      std::vector<Q8Block> blocks((cols + 31) / 32);
      quantise_row(x.data(), cols, blocks.data());
      for (size_t b = 0; b < blocks.size(); b++) {
        int sum = 0;
        float top = 0;
        for (size_t i = 0; i < 32; i++) {
          const float value = 32 * b + i < cols ? x[32 * b + i] : 0;
          top = std::max(top, std::abs(value));
          sum += blocks[b].q[i];
          ASSERT_LE(std::abs(value - blocks[b].scale * blocks[b].q[i]), 0.5001f * blocks[b].scale);
        }
        ASSERT_FLOAT_EQ(blocks[b].scale, top / 127);
        ASSERT_EQ(blocks[b].whole, sum);
        ASSERT_EQ(blocks[b].sum[0] + blocks[b].sum[1], sum);
      }
    }
  });
}

}  // namespace
}  // namespace moiety
