#include "gradients/causal_attention.h"

#include <algorithm>

#include "tests/gradients/numeric.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

// [rows, heads * value] in double, straight from the definition. q, k, v stand side by side in `qkv`'s rows.
Doubles plain(const CausalShape& s, const Doubles& qkv) {
  const size_t q_cols = s.heads * s.head, k_cols = s.kv_heads * s.head, out_cols = s.heads * s.value, cols = q_cols + k_cols + s.kv_heads * s.value;
  Doubles out(s.sequences * s.length * out_cols);
  for (size_t sequence = 0; sequence < s.sequences; sequence++)
    for (size_t h = 0; h < s.heads; h++)
      for (size_t t = 0; t < s.length; t++) {
        const size_t base = sequence * s.length, kv = h / (s.heads / s.kv_heads);
        const size_t low = s.chunk ? t / s.chunk * s.chunk : s.window && t + 1 > s.window ? t + 1 - s.window : 0;
        Doubles p;
        double sum = 0;
        for (size_t u = low; u <= t; u++) {
          double dot = 0;
          for (size_t i = 0; i < s.head; i++) dot += qkv[(base + t) * cols + h * s.head + i] * qkv[(base + u) * cols + q_cols + kv * s.head + i];
          p.push_back(std::exp(s.scale * dot));
          sum += p.back();
        }
        for (size_t u = low; u <= t; u++)
          for (size_t i = 0; i < s.value; i++)
            out[(base + t) * out_cols + h * s.value + i] += p[u - low] / sum * qkv[(base + u) * cols + q_cols + k_cols + kv * s.value + i];
      }
  return out;
}

class CausalAttention : public OnEveryIsa {
 protected:
  void check(const CausalShape& s, bool gradients) {
    Workers workers(2);
    const size_t rows = s.sequences * s.length, q_cols = s.heads * s.head, k_cols = s.kv_heads * s.head, v_cols = s.kv_heads * s.value, out_cols = s.heads * s.value;
    const size_t cols = q_cols + k_cols + v_cols;
    const auto qkv = normal(rows * cols), d_out = normal(rows * out_cols);
    const auto part = [&](const std::vector<float>& x, size_t at, size_t n) { return ConstRows{x.data() + at, rows, n, cols}; };
    const ConstRows q = part(qkv, 0, q_cols), k = part(qkv, q_cols, k_cols), v = part(qkv, q_cols + k_cols, v_cols);
    std::vector<float> out(rows * out_cols), sums(rows * s.heads), d(rows * cols, NAN);
    GradientRoom room;
    causal_attention(s, q, k, v, {out.data(), rows, out_cols, out_cols}, sums.data(), room, workers);
    Doubles x = doubles(qkv);
    const Doubles expected = plain(s, x);
    const bool exact = s.precision == Precision::f32;
    const double largest = std::abs(std::ranges::max(expected, {}, [](double v) { return std::abs(v); }));
    for (size_t i = 0; i < out.size(); i++) ASSERT_NEAR(out[i], expected[i], exact ? 2e-5 : bf16_tolerance * largest) << i;
    if (!gradients) return;
    causal_attention_gradient(s, q, k, v, {out.data(), rows, out_cols, out_cols}, sums.data(), {d_out.data(), rows, out_cols, out_cols},
                              {{d.data(), rows, q_cols, cols}, {d.data() + q_cols, rows, k_cols, cols}, {d.data() + q_cols + k_cols, rows, v_cols, cols}}, room, workers);
    expect_gradient(x, d, [&] {
      const Doubles y = plain(s, x);
      double sum = 0;
      for (size_t i = 0; i < y.size(); i++) sum += y[i] * d_out[i];
      return sum;
    }, exact ? 2e-5 : bf16_tolerance);
  }
};

TEST_F(CausalAttention, ForwardAndBackward) {
  on_every_isa([&] {
    check({2, 9, 4, 2, 5, 5, 0, 0.4f}, true);
    check({1, 13, 2, 1, 4, 4, 5, 0.5f}, true);
    check({1, 13, 4, 2, 6, 3, 0, 0.5f}, true);  // values of another size
    check({1, 13, 4, 4, 3, 7, 5, 0.5f}, true);
    check({1, 13, 2, 1, 4, 6, 5, 0.5f, Precision::bf16}, true);
    check({1, 70, 2, 1, 2, 2, 0, 0.7f, Precision::f32, 23}, true);  // chunks that end within a block and beyond one
    check({1, 70, 1, 1, 2, 2, 0, 0.7f}, true);    // more than a block
    check({1, 70, 1, 1, 1, 1, 3, 0.7f}, true);    // a window that begins in the block before
    check({2, 200, 2, 2, 16, 16, 0, 0.25f}, false);
    check({2, 200, 2, 2, 16, 16, 0, 0.25f, Precision::bf16}, false);
    check({1, 200, 2, 2, 16, 24, 70, 0.25f}, false);
  });
}

}  // namespace
}  // namespace moiety
