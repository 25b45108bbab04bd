#include "kernels/ops.h"

#include <cmath>
#include <limits>
#include <utility>

#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using Ops = OnEveryIsa;

TEST_F(Ops, Norms) {
  on_every_isa([&] {
    for (size_t n : {1, 2, 7, 31, 64, 577}) {
      const auto x = normal(n), weight = normal(n), bias = normal(n);
      double sum = 0, squares = 0, centred = 0;
      for (float v : x) sum += v, squares += static_cast<double>(v) * v;
      const double mean = sum / static_cast<double>(n);
      for (float v : x) centred += (v - mean) * (v - mean);
      std::vector<float> rms(n), layer(n), l2(n), bare(n), in_place = x;
      rms_norm(x, weight, 1e-5f, rms);
      rms_norm(x, {}, 1e-5f, bare);
      rms_norm(in_place, weight, 1e-5f, in_place);
      layer_norm(x, weight, bias, 1e-3f, layer);
      l2_norm(x, 1e-6f, l2);
      const double root = std::sqrt(squares / static_cast<double>(n) + 1e-5);
      const double deviation = std::sqrt(centred / static_cast<double>(n) + 1e-3);
      for (size_t i = 0; i < n; i++) {
        ASSERT_NEAR(bare[i], x[i] / root, 2e-6 * (1 + std::abs(x[i] / root)));
        ASSERT_NEAR(rms[i], x[i] / root * weight[i], 5e-6);
        ASSERT_NEAR(layer[i], (x[i] - mean) / deviation * weight[i] + bias[i], 5e-6);
        ASSERT_NEAR(l2[i], x[i] / std::sqrt(squares + 1e-6), 1e-6);
      }
      EXPECT_EQ(in_place, rms);
    }
  });
}

TEST_F(Ops, Activations) {
  for (double x = -30; x <= 30; x += 0.37) {
    const auto f = static_cast<float>(x);
    const double s = 1 / (1 + std::exp(-static_cast<double>(f)));
    const double margin = 1e-6 * (1 + std::abs(x));
    EXPECT_NEAR(sigmoid(f), s, 1e-6);
    EXPECT_NEAR(silu(f), f * s, margin);
    EXPECT_NEAR(gelu(f), 0.5 * f * (1 + std::erf(f / std::sqrt(2.0))), margin);
    EXPECT_NEAR(gelu_tanh(f), 0.5 * f * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (f + 0.044715 * f * f * f))), margin);
    EXPECT_NEAR(softplus(f), std::log1p(std::exp(static_cast<double>(f))), margin);
  }
}

TEST_F(Ops, GatesOfFfns) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 7, 37, 128}) {
      auto gate = normal(n), up = normal(n);
      for (size_t i = 0; i < n; i++) gate[i] *= i % 5 ? 3.0f : 60.0f, up[i] *= i % 3 ? 1.0f : 20.0f;
      auto silu = gate, gelu = gate, clamped = gate;
      gated_silu(silu, up);
      gated_gelu_tanh(gelu, up);
      gated_clamped_swish(clamped, up, 7.0f, 1.702f);
      const auto near = [](float got, double expected) { EXPECT_NEAR(got, expected, 2e-6 * std::abs(expected) + 1e-30); };
      for (size_t i = 0; i < n; i++) {
        const double g = gate[i], u = up[i], x = std::min(g, 7.0), y = std::clamp(u, -7.0, 7.0);
        near(silu[i], g / (1 + std::exp(-g)) * u);
        near(clamped[i], x / (1 + std::exp(-1.702 * x)) * (y + 1));
        const double z = 2 * 0.7978845608 * (g + 0.044715 * g * g * g), expected = g / (1 + std::exp(-z)) * u;
        EXPECT_NEAR(gelu[i], expected, 2e-6 * (1 + std::abs(z)) * std::abs(expected) + 1e-30);  // z's rounding grows with it
      }
    }
  });
}

// Or wrong weights would go unnoticed.
TEST_F(Ops, GatesKeepNaN) {
  on_every_isa([&] {
    const size_t n = 37;
    const std::vector<float> x = normal(n), y = normal(n);
    for (size_t i = 0; i < n; i++)
      for (bool second : {false, true}) {
        const auto holds = [&](auto gate) {
          auto a = x, b = y;
          (second ? b : a)[i] = std::nanf("");
          gate(a, b);
          for (size_t k = 0; k < n; k++) EXPECT_EQ(std::isnan(a[k]), k == i);
        };
        holds([](auto& a, auto& b) { gated_silu(a, b); });
        holds([](auto& a, auto& b) { gated_gelu_tanh(a, b); });
        holds([](auto& a, auto& b) { gated_clamped_swish(a, b, 7.0f, 1.702f); });
        holds([](auto& a, auto& b) { times_sigmoid(a, b); });
        holds([](auto& a, auto& b) { times_silu(a, b); });
      }
  });
}

TEST_F(Ops, GatesOfOutputs) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 7, 37, 128}) {
      const auto x = normal(n);
      auto gate = normal(n), by_sigmoid = x, by_silu = x;
      for (size_t i = 0; i < n; i++) gate[i] *= i % 5 ? 3.0f : 60.0f;
      times_sigmoid(by_sigmoid, gate);
      times_silu(by_silu, gate);
      for (size_t i = 0; i < n; i++) {
        const double open = 1 / (1 + std::exp(-double{gate[i]}));
        EXPECT_NEAR(by_sigmoid[i], x[i] * open, 1e-6 * std::abs(x[i] * open) + 1e-30);
        EXPECT_NEAR(by_silu[i], x[i] * gate[i] * open, 1e-6 * std::abs(x[i] * gate[i] * open) + 1e-30);
      }
    }
  });
}

TEST_F(Ops, SoftCaps) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 7, 37})
      for (float cap : {0.5f, 30.0f}) {
        const auto x = normal(n);
        std::vector<float> capped(n);
        for (size_t i = 0; i < n; i++) capped[i] = x[i] * (i % 3 ? 1e-3f : 50.0f);
        const auto before = capped;
        soft_cap(capped, cap);
        for (size_t i = 0; i < n; i++) {
          const double expected = cap * std::tanh(double{before[i]} / cap);
          EXPECT_NEAR(capped[i], expected, 1e-6 * std::abs(expected));
        }
      }
  });
}

TEST_F(Ops, SumsOfRows) {
  on_every_isa([&] {
    for (size_t n : {0, 1, 7, 16, 37, 96}) {
      const auto x = normal(n), y = normal(n);
      auto sum = x, scaled = x, product = x, weighed = x;
      add(sum, y);
      add_scaled(scaled, y, -0.25f);
      scale(product, 3.0f);
      weigh(weighed, 3.0f, y, weighed);
      for (size_t i = 0; i < n; i++) {
        EXPECT_EQ(sum[i], x[i] + y[i]);
        EXPECT_EQ(scaled[i], x[i] + -0.25f * y[i]);
        EXPECT_EQ(product[i], x[i] * 3.0f);
        EXPECT_EQ(weighed[i], x[i] * 3.0f * y[i]);
      }
    }
  });
}

TEST_F(Ops, OneWrongNumberIsNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  on_every_isa([&] {
    for (size_t n : {0, 1, 7, 31, 64, 577}) {
      std::vector<float> x = normal(n);
      for (size_t i = 0; i < n; i++) {
        for (float wrong : {std::nanf(""), infinity, -infinity}) {
          const float right = std::exchange(x[i], wrong);
          EXPECT_FALSE(all_finite(x)) << wrong << " at " << i << " of " << n;
          x[i] = right;
        }
        x[i] *= i % 2 ? std::numeric_limits<float>::max() / 8 : std::numeric_limits<float>::denorm_min();
      }
      EXPECT_TRUE(all_finite(x)) << n;
    }
  });
}

TEST_F(Ops, RotationTurnsPairsAndLeavesTheRest) {
  on_every_isa([&] {
    for (size_t n : {1, 5, 16, 37, 64})
      for (bool interleaved : {false, true}) {
        const auto x = normal(2 * n + 3), angles = normal(n);
        std::vector<float> cosines(n), sines(n);
        for (size_t i = 0; i < n; i++) cosines[i] = std::cos(angles[i]), sines[i] = std::sin(angles[i]);
        auto turned = x, elsewhere = std::vector<float>(x.size(), 7);
        rotate(turned, cosines, sines, interleaved, turned.data());
        rotate(x, cosines, sines, interleaved, elsewhere.data());
        for (size_t i = 0; i < n; i++) {
          const size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + n;
          EXPECT_EQ(turned[a], x[a] * cosines[i] - x[b] * sines[i]);
          EXPECT_EQ(turned[b], x[b] * cosines[i] + x[a] * sines[i]);
          EXPECT_EQ(elsewhere[a], turned[a]);
          EXPECT_EQ(elsewhere[b], turned[b]);
        }
        for (size_t i = 2 * n; i < x.size(); i++) {
          EXPECT_EQ(turned[i], x[i]);
          EXPECT_EQ(elsewhere[i], 7);
        }
      }
  });
}

}  // namespace
}  // namespace moiety
