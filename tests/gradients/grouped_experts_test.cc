#include "gradients/grouped_experts.h"

#include <algorithm>

#include "tests/gradients/numeric.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

struct Layer {
  const ExpertForm& form;
  size_t rows, experts, d, width;
  size_t wide() const { return form.inner * width; }
  std::vector<int64_t> first{0};
  std::vector<int32_t> expert;
};

// The layer in double, straight from its definition.
Doubles plain(const Layer& l, const Doubles& x, const Doubles& weight, const Doubles& in, const Doubles& down) {
  Doubles y(l.rows * l.d);
  const auto inner = [&](size_t r, size_t expert, size_t j) {
    double sum = 0;
    for (size_t i = 0; i < l.d; i++) sum += in[(expert * l.wide() + j) * l.d + i] * x[r * l.d + i];
    return sum;
  };
  for (size_t r = 0; r < l.rows; r++)
    for (int64_t c = l.first[r]; c < l.first[r + 1]; c++)
      for (size_t j = 0; j < l.width; j++) {
        const size_t expert = static_cast<size_t>(l.expert[c]);
        const double a = inner(r, expert, j);
        double hidden = std::max(a, 0.0);
        if (&l.form == &swiglu_form) hidden = a / (1 + std::exp(-a)) * inner(r, expert, l.width + j);
        if (&l.form == &gelu_form) hidden = a * 0.5 * std::erfc(-a / std::sqrt(2.0));
        for (size_t i = 0; i < l.d; i++) y[r * l.d + i] += weight[c] * down[(l.expert[c] * l.d + i) * l.width + j] * hidden;
      }
  return y;
}

class GroupedExperts : public OnEveryIsa {
 protected:
  // Rows with no expert, with one, with several; one expert that nobody chose.
  Layer layer(size_t rows, const ExpertForm& form = swiglu_form) {
    Layer l{form, rows, 5, 7, 9, {0}, {}};
    for (size_t r = 0; r < rows; r++) {
      for (int32_t e = 0; e < 4; e++)
        if (random_() % 3 == 0) l.expert.push_back(e);
      l.first.push_back(static_cast<int64_t>(l.expert.size()));
    }
    return l;
  }
};

TEST_F(GroupedExperts, ForwardAndBackward) {
  Workers workers(2);
  on_every_isa([&] {
    for (const auto& [form, add, precision] : {std::tuple{&swiglu_form, false, Precision::f32}, {&swiglu_form, true, Precision::f32}, {&swiglu_form, false, Precision::bf16},
                                               {&gelu_form, false, Precision::f32}, {&gelu_form, true, Precision::bf16}, {&relu_form, false, Precision::f32}}) {
      const Layer l = layer(23, *form);
      const size_t slots = l.expert.size();
      const auto x = normal(l.rows * l.d), weight = normal(slots), in = normal(l.experts * l.wide() * l.d), down = normal(l.experts * l.d * l.width);
      const auto dy = normal(l.rows * l.d);
      const ExpertSlots plan = expert_slots(l.first, l.expert, l.experts);
      const ExpertWeights w{l.form, in.data(), down.data(), l.width, precision};
      const double tolerance = precision == Precision::f32 ? 2e-5 : bf16_tolerance;
      GradientRoom room;
      std::vector<float> kept(slots * l.wide()), y(l.rows * l.d), dx(l.rows * l.d, NAN), d_weight(slots);
      std::vector<float> d_in(in.size(), add ? 1.0f : NAN), d_down(down.size(), add ? 1.0f : NAN);
      grouped_experts(plan, w, {x.data(), l.rows, l.d, l.d}, weight, kept.data(), {y.data(), l.rows, l.d, l.d}, room, workers);
      grouped_experts_gradient(plan, w, {x.data(), l.rows, l.d, l.d}, weight, kept.data(), {dy.data(), l.rows, l.d, l.d}, {dx.data(), l.rows, l.d, l.d}, d_weight,
                               {d_in.data(), d_down.data(), add}, room, workers);
      Doubles dx_(doubles(x)), dw(doubles(weight)), dg(doubles(in)), dd(doubles(down));
      const Doubles expected = plain(l, dx_, dw, dg, dd);
      const double largest = std::abs(std::ranges::max(expected, {}, [](double v) { return std::abs(v); }));
      for (size_t i = 0; i < y.size(); i++) ASSERT_NEAR(y[i], expected[i], precision == Precision::f32 ? 1e-5 * (1 + std::abs(expected[i])) : bf16_tolerance * largest);
      const auto loss = [&] {
        const Doubles out = plain(l, dx_, dw, dg, dd);
        double sum = 0;
        for (size_t i = 0; i < out.size(); i++) sum += out[i] * dy[i];
        return sum;
      };
      if (add) {
        for (float& v : d_in) v -= 1;
        for (float& v : d_down) v -= 1;
      }
      expect_gradient(dx_, dx, loss, tolerance);
      expect_gradient(dw, d_weight, loss, tolerance);
      expect_gradient(dg, d_in, loss, tolerance);
      expect_gradient(dd, d_down, loss, tolerance);
    }
  });
}

TEST_F(GroupedExperts, SameBitsOnAnyNumberOfThreads) {
  const Layer l = layer(400);
  const auto x = normal(l.rows * l.d), weight = normal(l.expert.size()), in = normal(l.experts * l.wide() * l.d), down = normal(l.experts * l.d * l.width);
  const ExpertSlots plan = expert_slots(l.first, l.expert, l.experts);
  std::vector<std::vector<float>> results;
  for (size_t threads : {1, 2, 3}) {
    Workers workers(threads);
    GradientRoom room;
    std::vector<float> kept(l.expert.size() * l.wide()), y(l.rows * l.d), dx(y.size()), d_weight(weight.size()), d_in(in.size()), d_down(down.size());
    const ExpertWeights w{l.form, in.data(), down.data(), l.width};
    const ConstRows rows{x.data(), l.rows, l.d, l.d};
    grouped_experts(plan, w, rows, weight, kept.data(), {y.data(), l.rows, l.d, l.d}, room, workers);
    grouped_experts_gradient(plan, w, rows, weight, kept.data(), rows, {dx.data(), l.rows, l.d, l.d}, d_weight, {d_in.data(), d_down.data(), false}, room, workers);
    for (const auto* part : {&dx, &d_weight, &d_in, &d_down}) y.insert(y.end(), part->begin(), part->end());
    results.push_back(y);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace moiety
