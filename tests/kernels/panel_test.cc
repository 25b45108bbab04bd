#include "kernels/panel.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "formats/codec.h"
#include "kernels/matmul.h"
#include "kernels/panel_product.h"
#include "tests/kernels/isa_test.h"
#include "tests/kernels/random_blocks.h"

namespace moiety {
namespace {

constexpr TensorType all_types[] = {TensorType::q4_0, TensorType::q4_1, TensorType::q5_0, TensorType::q5_1,   TensorType::q8_0,   TensorType::q2_k,
                                    TensorType::q3_k, TensorType::q4_k, TensorType::q5_k, TensorType::q6_k,   TensorType::iq4_nl, TensorType::iq4_xs,
                                    TensorType::mxfp4, TensorType::nvfp4, TensorType::tq1_0, TensorType::tq2_0, TensorType::q1_0, TensorType::q2_0,
                                    TensorType::iq1_s, TensorType::iq1_m, TensorType::iq2_xxs, TensorType::iq2_xs, TensorType::iq2_s, TensorType::iq3_xxs,
                                    TensorType::iq3_s, TensorType::f32, TensorType::f16,  TensorType::bf16};

// Columns that a row of the type is a multiple of; any of floats.
size_t block_of(TensorType type) { return std::max<size_t>(type_info(type).block, 32); }

// Random codes of every value, scales of moderate size.
std::vector<std::byte> random_weights(TensorType type, size_t rows, size_t cols, std::mt19937& random) {
  if (panel_format(type)) return random_blocks(type, rows * cols, random);
  std::vector<std::byte> bytes(rows * bytes_of(type, cols));
  std::vector<float> values(rows * cols);
  for (float& v : values) v = std::normal_distribution<float>()(random);
  encode_row(type, values, {}, bytes.data());
  return bytes;
}

struct Packed {
  std::vector<std::byte> stored, panels;
  Matrix matrix;
};

// The panels of what w stores now, with room behind them: kernels ask ahead for lines, never read them.
std::vector<std::byte> packed_again(const Packed& w) {
  const Matrix& m = w.matrix;
  const size_t bytes = panel_bytes(m.type, m.cols);
  std::vector<std::byte> out(packed_bytes(m.type, m.rows, m.cols) + 4096);
  for (size_t p = 0; p < panels(m.rows); p++) pack_panel(m, p, std::span(out).subspan(p * bytes, bytes));
  return out;
}

Packed packed(TensorType type, size_t rows, size_t cols, std::mt19937& random) {
  Packed out;
  out.stored = random_weights(type, rows, cols, random);
  out.matrix = {type, rows, cols, out.stored.data(), bytes_of(type, cols)};
  out.panels = packed_again(out);
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
          const size_t cols = panel_format(type) ? block_of(type) * (1 + tokens % 3) : 32 + tokens;
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
      const size_t rows = 37, cols = panel_format(type) ? 512 : 323, tokens = 39;
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

// Two panels one after the other or at once, from the cache or as two streams from memory.
TEST_F(Panels, HowTwoPanelsGoChangesNoBit) {
  on_every_isa([&] {
    Workers workers(1);
    for (TensorType type : all_types) {
      const size_t cols = 512, most = 14;
      const Packed w = packed(type, 2 * panel_rows, cols, random_);
      const std::vector<float> x = normal(most * cols);
      Activations input(ConstRows{x.data(), most, cols, cols});
      const RowPointers pointers(type, input, workers);
      const void* rows[most];
      for (size_t t = 0; t < most; t++) rows[t] = pointers[t];
      PanelRoom room;
      const ReadyPanels ready(w.matrix, 0, 2, room);
      for (size_t tokens = 1; tokens <= most; tokens++) {
        PairOutputs expected[most], got[most];
        const PanelKernel multiply = panel_kernel_of(panel_kernels(), type);
        multiply({ready[0], ready[1], ready[0], false, false}, cols, rows, tokens, expected);
        for (auto [cached, two_streams] : {std::pair(true, false), std::pair(false, true)}) {
          std::memset(got, 0, sizeof(got));
          multiply({ready[0], ready[1], ready[0], cached, two_streams}, cols, rows, tokens, got);
          ASSERT_EQ(std::memcmp(got, expected, tokens * sizeof(PairOutputs)), 0) << type_info(type).name << " tokens " << tokens << (cached ? " cached" : " two streams");
        }
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
          const size_t cols = block_of(type);
          Packed w = packed(type, 16, cols, random_);
          std::vector<float> one_row(cols);
          const size_t size = type_info(type).block_bytes, kept = std::min<size_t>(4, size - scale_at(type));  // d and, where there is one, the minimum's
          for (size_t at = 0; at < w.stored.size(); at += size) {
            uint16_t scale[2];
            std::memcpy(scale, w.stored.data() + at + scale_at(type), kept);
            const std::byte exponent = w.stored[at];
            std::memset(w.stored.data() + at, fill, size);
            if (type == TensorType::mxfp4) w.stored[at] = exponent;
            else if (type == TensorType::iq1_m) set_scale(type, w.stored.data() + at, 0x2400);
            else if (type != TensorType::nvfp4) std::memcpy(w.stored.data() + at + scale_at(type), scale, kept);
          }
          w.panels = packed_again(w);
          w.matrix.panels = w.panels.data();
          decode(type, w.stored.data(), one_row);
          std::vector<float> x(cols, sign), y(16);
          Activations input(ConstRows{x.data(), 1, cols, cols});
          matmul(w.matrix, input, {y.data(), 1, 16, 16}, workers);
          double sum = 0, total = 0;
          for (float v : one_row) sum += sign * v, total += std::abs(v) + 4;
          ASSERT_LE(std::abs(y[0] - sum), 4e-6 * total) << type_info(type).name << " fill " << fill;
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

// A scale that is not finite shows in its row, as in float32, and in no other.
TEST_F(Panels, ScalesThatAreNotFiniteShow) {
  on_every_isa([&] {
    Workers workers(1);
    for (TensorType type : all_types) {
      if (!panel_format(type) || panel_format(type)->d == BlockScale::exponent || type == TensorType::nvfp4) continue;
      for (uint16_t bad : {0x7c00, 0xfc00, 0x7e00}) {
        const size_t cols = 2 * block_of(type);
        Packed w = packed(type, 19, cols, random_);
        set_scale(type, w.stored.data() + 17 * bytes_of(type, cols), bad);
        w.panels = packed_again(w);
        w.matrix.panels = w.panels.data();
        std::vector<float> x = normal(cols), y(19);
        Activations input(ConstRows{x.data(), 1, cols, cols});
        matmul(w.matrix, input, {y.data(), 1, 19, 19}, workers);
        for (size_t r = 0; r < 19; r++) ASSERT_EQ(std::isfinite(y[r]), r != 17) << type_info(type).name << " row " << r;
      }
    }
  });
}

// What kernels read of a panel that is taken apart, number by number, for every scale that a half float can be.
TEST_F(Panels, TakingApartLosesNothing) {
  on_every_isa([&] {
    for (const PanelFormat& f : panel_formats) {
      if (!f.at_use) continue;
      const size_t cols = 512, block = type_info(f.type).block_bytes;
      for (int round = 0; round < 20; round++) {
        std::vector<std::byte> stored(panel_rows * bytes_of(f.type, cols)), panel(panel_bytes(f.type, cols));
        for (std::byte& b : stored) b = static_cast<std::byte>(random_());
        for (size_t at = 0; at < stored.size(); at += block) set_scale(f.type, stored.data() + at, static_cast<uint16_t>(random_() & 0xbfff));
        pack_panel({f.type, panel_rows, cols, stored.data(), bytes_of(f.type, cols)}, 0, panel);
        PanelRoom room(ready_bytes(f, cols) / sizeof(PanelLine));
        auto* ready = reinterpret_cast<std::byte*>(room.data());
        take_apart_panel(f, panel.data(), cols, ready);
        std::vector<float> decoded(panel_rows * cols);
        decode(f.type, stored.data(), decoded);
        for (size_t r = 0; r < panel_rows; r++)
          for (size_t c = 0; c < cols; c++) {
            const std::byte* at = ready + c / 32 * f.bytes();
            float scale;
            std::memcpy(&scale, at + f.scales_at() + (c % 32 / f.sub * panel_rows + r) * sizeof(float), sizeof(scale));
            const int code = static_cast<int>(at[f.codes_at() + c % 32 / 4 * 64 + 4 * r + c % 4]);
            ASSERT_LT(code, 128);
            ASSERT_EQ(scale * static_cast<float>(code - f.offset), decoded[r * cols + c]) << type_info(f.type).name << " row " << r << " column " << c;
          }
      }
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
        int sum[2] = {};
        float top = 0;
        for (size_t i = 0; i < 32; i++) {
          const float value = 32 * b + i < cols ? x[32 * b + i] : 0;
          top = std::max(top, std::abs(value));
          sum[i / 16] += blocks[b].q[i];
          ASSERT_LE(std::abs(value - blocks[b].scale * blocks[b].q[i]), 0.5001f * blocks[b].scale);
        }
        ASSERT_FLOAT_EQ(blocks[b].scale, top / 127);
        ASSERT_EQ(double(blocks[b].scaled_start), -3.0 * (1 << 22) * double(blocks[b].scale)) << "not exact";
        const int whole = sum[0] + sum[1];
        for (int half = 0; half < 2; half++) ASSERT_FLOAT_EQ(blocks[b].scaled_sum[half], blocks[b].scale * float(sum[half]));
        ASSERT_FLOAT_EQ(blocks[b].scaled_whole, blocks[b].scale * float(whole));
        for (int i = 0; i < 3; i++) ASSERT_EQ(blocks[b].starts[i], q8_start - q8_offsets[i] * whole);
      }
    }
  });
}

}  // namespace
}  // namespace moiety
