// A pipeline's gradient at one row, and the loss that it belongs to: what the gradient tests share.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "routing/policy.h"

namespace moiety {

inline constexpr uint32_t experts = 8;

// All numbers that a row's plan depends on, or their gradients.
struct Numbers {
  std::vector<float> logits, features, carry;
  std::map<std::string, std::vector<float>, std::less<>> tensors;

  std::vector<std::span<float>> all() {
    std::vector<std::span<float>> out = {logits, features, carry};
    for (auto& [name, values] : tensors) out.push_back(values);
    return out;
  }
};

// The sequence that a row stands at the end of.
inline SequenceContext example_sequence() {
  static constexpr int32_t ids[] = {4, 0, 2};
  return {7, ids, {}};
}

inline void draw(std::span<float> values, std::mt19937& rng) {
  std::normal_distribution<float> normal;
  for (float& v : values) v = normal(rng);
}

// A loss that is linear in the weights and in the carry.
struct Loss {
  std::vector<float> of_expert, of_carry;

  double operator()(const Pipeline& pipeline, const Numbers& x) const {
    RoutingScratch scratch;
    std::vector<float> carry_out(x.carry.size());
    SequenceContext sequence = example_sequence();
    RoutingInput in;
    in.features = x.features, in.carry = x.carry, in.sequence = &sequence;
    RoutingPlan plan;
    if (pipeline.has_cohort_stage()) {
      pipeline.run_cohort({&in, 1}, x.logits, plan, carry_out);
    } else {
      pipeline.run(in, x.logits, scratch, carry_out);
      plan.append_row(scratch.choices);
    }
    double sum = 0;
    for (const Choice& c : plan[0]) sum += double(of_expert[c.expert]) * c.weight;
    for (size_t i = 0; i < carry_out.size(); i++) sum += double(of_carry[i]) * carry_out[i];
    return sum;
  }
};

inline Numbers gradient(const Pipeline& pipeline, const Numbers& x, const Loss& loss) {
  Numbers d = x;
  for (std::span<float> part : d.all()) std::ranges::fill(part, 0.0f);
  RoutingScratch scratch;
  RoutingHistory history;
  std::vector<float> carry_out(x.carry.size());
  SequenceContext sequence = example_sequence();
  RoutingInput in;
  in.features = x.features, in.carry = x.carry, in.sequence = &sequence;
  RoutingPlan plan;
  if (pipeline.has_cohort_stage()) {
    pipeline.run_cohort_recorded({&in, 1}, x.logits, plan, history, carry_out);
  } else {
    pipeline.run_recorded(in, x.logits, scratch, history, carry_out);
    plan.append_row(scratch.choices);
  }
  const TensorGradients tensors{[&](std::string_view name) { return std::span<float>(d.tensors.find(name)->second); }};
  std::vector<Choice> d_choices;
  for (const Choice& c : plan[0]) d_choices.push_back({c.expert, loss.of_expert[c.expert]});
  const RowGradient row{d_choices, d.logits, d.features, d.carry, loss.of_carry, &tensors};
  GradientScratch room;
  pipeline.backward({&in, 1}, history, 0, {&row, 1}, room);
  for (float v : room.d_out) EXPECT_EQ(v, 0);  // as the next row wants it
  for (float v : room.d_in) EXPECT_EQ(v, 0);
  return d;
}

inline Pipeline bound(const std::string& text, Numbers& x) {
  StageSite site{0, 0, experts, {}};
  static constexpr float table[] = {3, 1, 6, 0, 7};  // of hash: no numbers that a gradient reaches
  site.tensors.find = [&x](std::string_view name) {
    if (name == "table") return std::span<const float>(table);
    const auto found = x.tensors.find(name);
    return found == x.tensors.end() ? std::span<const float>() : std::span<const float>(found->second);
  };
  return RoutingPolicy::parse(text, Allow::training).bind(site, "top_k(1)");
}

}  // namespace moiety
