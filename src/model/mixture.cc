// Mixtures of experts: who serves a row; what its experts do stands in experts.cc.
#include <algorithm>

#include "base/error.h"
#include "kernels/ops.h"
#include "model/experts.h"

namespace moiety {

float activation(const Config& c, float x) {
  switch (c.activation) {
    case Activation::silu: return silu(x);
    case Activation::gelu: return gelu(x);
    case Activation::gelu_tanh: return gelu_tanh(x);
    case Activation::gelu_quick: return gelu_quick(x);
    case Activation::relu: return std::max(x, 0.0f);
    case Activation::relu_squared: return std::max(x, 0.0f) * std::max(x, 0.0f);
    case Activation::clamped_swiglu: return std::min(x, c.swiglu_limit) * sigmoid(c.swiglu_alpha * std::min(x, c.swiglu_limit));
  }
  return x;
}

// The common ones a vector at a time.
void activate(const Config& c, const ExpertKind& kind, std::span<float> gate, std::span<const float> up) {
  if (kind.unit) return kind.unit(gate);
  switch (c.activation) {
    case Activation::silu: return gated_silu(gate, up);
    case Activation::gelu_tanh: return gated_gelu_tanh(gate, up);
    case Activation::clamped_swiglu: return gated_clamped_swish(gate, up, c.swiglu_limit, c.swiglu_alpha);
    default:
      for (size_t i = 0; i < gate.size(); i++) gate[i] = activation(c, gate[i]) * up[i];
  }
}

void feed_forward(const Step& step, const FeedForward& ffn, const ExpertKind& kind, Activations& x, Rows out) {
  const bool gated = static_cast<bool>(ffn.gate);
  Buffer inner(x.rows(), ffn.up.weight.rows), up(gated ? x.rows() : 0, ffn.up.weight.rows);
  if (gated) apply(step, x, {{&ffn.gate, inner}, {&ffn.up, up}});
  else apply(step, x, {{&ffn.up, inner}});
  step.workers.run(x.rows(), std::max<size_t>(1, 4096 / inner.cols()), [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; t++) activate(step.model.config, kind, inner[t], gated ? up[t] : std::span<float>());
  });
  apply(step, ffn.down, inner, out);
}

// The router's scores, with what the router before it adds. Jin et al. 2024, "MoE++", arXiv 2410.07348, gating residuals.   logits: [rows, experts]
void score(Step& step, const Site& site, Activations& input, Rows logits) {
  apply(step, input, {{&site.router, logits}});
  if (site.earlier) {
    const size_t width = site.earlier.weight.cols;
    Buffer more(logits.rows, logits.cols);
    apply(step, site.earlier, ConstRows{step.router_scores.data(), logits.rows, width, width}, more);
    each_row(step, logits.rows, [&](size_t t) { add({logits[t], logits.cols}, more[t]); });
  }
  if (site.config->scores_join_next) step.router_scores.assign(logits[0], logits[0] + logits.rows * logits.cols);
}

RoutingPlan route(Step& step, const Site& site, Activations& input) {
  const ConstRows features = input.floats();
  const size_t n = step.count();
  bool wants_logits = site.config->scores_join_next, remembers = false;
  for (const StepRow& row : step.rows) {
    const Pipeline& pipeline = row.sequence->routing->sites[site.index];
    wants_logits |= pipeline.needs_logits();
    remembers |= (pipeline.needs() & needs::memory) != 0;
  }
  Buffer logits(n, wants_logits ? site.router.weight.rows : 0);
  if (wants_logits) score(step, site, input, logits);

  std::vector<std::vector<Choice>> chosen(n);
  std::vector<RoutingScratch> scratch(step.workers.size());
  const auto run = [&](size_t t, size_t worker) {
    const StepRow& row = step.rows[t];
    SequenceState& sequence = *row.sequence;
    const Pipeline& pipeline = sequence.routing->sites[site.index];
    RoutingInput in;
    in.site = site.index, in.layer = site.layer, in.position = row.position;
    in.features = {features[t], features.cols};
    SequenceContext context;
    std::vector<float> carry;
    if (pipeline.needs() & (needs::sequence | needs::memory)) {
      context.seed = sequence.seed;
      context.ids = std::span<const int32_t>(sequence.ids).first(std::min<size_t>(row.position + 1, sequence.ids.size()));
      std::vector<float>& memory = sequence.site_memory[site.index];
      memory.resize(std::max(memory.size(), pipeline.memory_size()));
      context.memory = memory;
      in.sequence = &context;
    }
    if (pipeline.carry_size()) {
      carry = step.carry[t];
      carry.resize(pipeline.carry_size());
      in.carry = carry;
      step.carry[t].resize(std::max(step.carry[t].size(), carry.size()));
    }
    pipeline.run(in, logits[t], scratch[worker], step.carry[t]);
    chosen[t] = scratch[worker].choices;
  };
  // Rows of a sequence that remembers go one after another.
  step.workers.run(n, remembers ? n : 8, [&](size_t begin, size_t end, size_t worker) {
    for (size_t t = begin; t < end; t++) run(t, worker);
  });
  RoutingPlan plan;
  for (const std::vector<Choice>& row : chosen) plan.append_row(row);
  if (step.observer) step.observer->routed(site, step.rows, features, logits, plan);
  return plan;
}

void mixture(Step& step, const Site& site, Activations& x, Rows out) {
  const RoutingPlan plan = route(step, site, x);
  Buffer shared_weights(site.shared.size(), x.rows());
  for (size_t i = 0; i < site.shared.size(); i++) {
    std::ranges::fill(shared_weights[i], 1.0f);
    if (!site.shared[i].gate) continue;
    Buffer gate(x.rows(), 1);
    apply(step, x, {{&site.shared[i].gate, gate}});
    for (size_t t = 0; t < x.rows(); t++) shared_weights[i][t] = sigmoid(gate[t][0]);
  }
  run_experts(step, site, assign(plan, *site.bank, step.workers), shared_weights, x, out);
  if (site.config->output_scale != 1) each_row(step, x.rows(), [&](size_t t) { scale({out[t], out.cols}, site.config->output_scale); });
  if (!site.output_bias.empty()) each_row(step, x.rows(), [&](size_t t) { add({out[t], out.cols}, site.output_bias); });
}

}  // namespace moiety
