#include "kernels/delta_rule.h"

#include <cmath>

#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using DeltaRule = OnEveryIsa;

TEST_F(DeltaRule, EqualsTheFormula) {
  on_every_isa([&] {
    for (size_t keys : {1, 3, 16, 128})
      for (size_t values : {1, 7, 31, 32, 96, 128, 133}) {
        std::vector<float> state = normal(keys * values);
        std::vector<double> plain(state.begin(), state.end());
        for (int token = 0; token < 3; token++) {
          std::vector<float> decay = normal(keys), out(values, std::nanf(""));
          for (float& v : decay) v = std::exp(-std::abs(v));
          std::vector<float> key = normal(keys);
          for (float& v : key) v /= std::sqrt(static_cast<float>(keys));
          const std::vector<float> query = normal(keys), value = normal(values);
          const float beta = 0.7f;
          std::vector<double> expected(values);
          for (size_t j = 0; j < values; j++) {
            double recalled = 0;
            for (size_t i = 0; i < keys; i++) recalled += (plain[i * values + j] *= decay[i]) * key[i];
            const double error = beta * (value[j] - recalled);
            for (size_t i = 0; i < keys; i++) expected[j] += (plain[i * values + j] += key[i] * error) * query[i];
          }
          delta_step(state, decay, key, query, value, beta, out);
          for (size_t j = 0; j < values; j++) ASSERT_NEAR(out[j], expected[j], 1e-5 * std::sqrt(static_cast<double>(keys)) * (1 + std::abs(expected[j])));
          for (size_t i = 0; i < keys * values; i++) ASSERT_NEAR(state[i], plain[i], 1e-5 * (1 + std::abs(plain[i])));
        }
      }
  });
}

TEST_F(DeltaRule, Decays) {
  on_every_isa([&] {
    for (size_t n : {1, 7, 128}) {
      std::vector<float> x = normal(n), decay(n);
      for (size_t i = 0; i < n; i++) x[i] *= i % 4 ? 2.0f : 40.0f;
      for (float rate : {-0.01f, -1.0f, -16.0f}) {
        const auto holds = [&](std::optional<float> bound, auto logarithm) {
          delta_decays(x, rate, bound, decay);
          for (size_t i = 0; i < n; i++) {
            const double log_decay = logarithm(double{x[i]});
            ASSERT_NEAR(decay[i], std::exp(log_decay), 1e-6 * (1 + std::abs(log_decay)) * std::exp(log_decay) + 1e-37) << x[i] << " " << rate;
          }
        };
        holds({}, [&](double v) { return rate * std::log1p(std::exp(v)); });
        holds(-5.0f, [&](double v) { return -5 / (1 + std::exp(rate * v)); });
      }
      x[n / 2] = std::nanf("");
      delta_decays(x, -1, {}, decay);
      EXPECT_TRUE(std::isnan(decay[n / 2]));
      delta_decays(x, -1, -5.0f, decay);
      EXPECT_TRUE(std::isnan(decay[n / 2]));
    }
  });
}

}  // namespace
}  // namespace moiety
