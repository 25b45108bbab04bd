#include "gradients/adamw.h"
#include "gradients/rms_norm.h"
#include "gradients/softmax.h"
#include "tests/gradients/numeric.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using SmallParts = OnEveryIsa;

TEST_F(SmallParts, RmsNorm) {
  Workers workers(2);
  on_every_isa([&] {
    const size_t rows = 300, n = 21;  // more rows than a piece
    const auto x = normal(rows * n), weight = normal(n), dy = normal(rows * n);
    std::vector<float> y(x.size()), factors(rows), dx(x.size()), dw(n, 3.0f);
    GradientRoom room;
    rms_norm({x.data(), rows, n, n}, weight.data(), 1e-3f, {y.data(), rows, n, n}, factors.data(), workers);
    rms_norm_gradient({x.data(), rows, n, n}, weight.data(), factors.data(), {dy.data(), rows, n, n}, {dx.data(), rows, n, n}, dw.data(), true, room, workers);
    Doubles x_(doubles(x)), w(doubles(weight));
    const auto normed = [&](size_t r, size_t i) {
      double squares = 0;
      for (size_t j = 0; j < n; j++) squares += x_[r * n + j] * x_[r * n + j];
      return x_[r * n + i] / std::sqrt(squares / static_cast<double>(n) + 1e-3) * w[i];
    };
    for (size_t r = 0; r < rows; r++)
      for (size_t i = 0; i < n; i++) ASSERT_NEAR(y[r * n + i], normed(r, i), 1e-5);
    for (float& v : dw) v -= 3;
    const auto loss_of = [&](size_t from, size_t to) {
      double sum = 0;
      for (size_t r = from; r < to; r++)
        for (size_t i = 0; i < n; i++) sum += dy[r * n + i] * normed(r, i);
      return sum;
    };
    expect_gradient(w, dw, [&] { return loss_of(0, rows); });
    x_.resize(2 * n);  // two rows stand for all
    expect_gradient(x_, std::span(dx).first(2 * n), [&] { return loss_of(0, 2); });
  });
}

TEST_F(SmallParts, SoftmaxOfLargeNumbers) {
  on_every_isa([&] {
    for (size_t n : {1, 3, 16, 33, 200}) {
      auto x = normal(n);
      for (float& v : x) v = v * 20 + 300;
      double most = -1e9, sum = 0;
      for (float v : x) most = std::max(most, 0.5 * v);
      for (float v : x) sum += std::exp(0.5 * v - most);
      const double expected = most + std::log(sum);
      const float log_sum = log_sum_exp(x.data(), n, 0.5f);
      ASSERT_NEAR(log_sum, expected, 1e-6 * expected);
      const auto before = x;
      exponentials(x.data(), n, 0.5f, log_sum, 3);
      for (size_t i = 0; i < n; i++) ASSERT_NEAR(x[i], 3 * std::exp(0.5 * before[i] - expected), 2e-4);
    }
  });
}

TEST_F(SmallParts, AdamW) {
  on_every_isa([&] {
    for (size_t n : {1, 7, 40}) {
      auto value = normal(n);
      std::vector<float> m(n), v(n);
      Doubles x(doubles(value)), dm(n), dv(n);
      for (uint64_t step = 1; step <= 5; step++) {
        const auto g = normal(n);
        AdamW o{0.01f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.5f, step};
        adamw(o, value.data(), g.data(), m.data(), v.data(), n);
        for (size_t i = 0; i < n; i++) {
          const double gi = 0.5 * g[i], t = static_cast<double>(step);
          dm[i] = 0.9 * dm[i] + 0.1 * gi;
          dv[i] = 0.95 * dv[i] + 0.05 * gi * gi;
          x[i] -= 0.01 * (dm[i] / (1 - std::pow(0.9, t)) / (std::sqrt(dv[i] / (1 - std::pow(0.95, t))) + 1e-8) + 0.1 * x[i]);
          ASSERT_NEAR(value[i], x[i], 1e-5);
        }
      }
    }
  });
}

}  // namespace
}  // namespace moiety
