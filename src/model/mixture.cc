// Mixtures of experts: who serves a row, the experts' work, the weighted sum.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/step.h"

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

void activate(const Config& c, Rows gate, ConstRows up) {
  const bool clamped = c.activation == Activation::clamped_swiglu;
  for (size_t t = 0; t < gate.rows; t++) {
    float* g = gate[t];
    const float* u = up[t];
    for (size_t i = 0; i < gate.cols; i++) g[i] = activation(c, g[i]) * (clamped ? std::clamp(u[i], -c.swiglu_limit, c.swiglu_limit) + 1 : u[i]);
  }
}

void feed_forward(const Step& step, const FeedForward& ffn, ConstRows x, Rows out) {
  Buffer gate(x.rows, ffn.gate.weight.rows), up(x.rows, ffn.up.weight.rows);
  apply(step, ffn.gate, x, gate);
  apply(step, ffn.up, x, up);
  activate(step.model.config, gate, up);
  apply(step, ffn.down, gate, out);
}

RoutingPlan route(Step& step, const Site& site, ConstRows features) {
  const size_t n = step.count();
  bool wants_logits = false;
  for (const StepRow& row : step.rows) wants_logits |= row.sequence->routing->sites[site.index].needs_logits();
  Buffer logits(n, wants_logits ? site.router.weight.rows : 0);
  if (wants_logits) apply(step, site.router, features, logits);

  RoutingPlan plan;
  RoutingScratch scratch;
  for (size_t t = 0; t < n; t++) {
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
    pipeline.run(in, logits[t], scratch, step.carry[t]);
    plan.append_row(scratch.choices);
  }
  if (step.observer) step.observer->routed(site, step.rows, features, logits, plan);
  return plan;
}

Slots slots_of(const Site& site, const RoutingPlan& plan) {
  Slots out;
  std::vector<Choice> row;
  for (size_t t = 0; t < plan.rows(); t++) {
    out.first.push_back(out.slots.size());
    row.assign(plan[t].begin(), plan[t].end());
    std::ranges::sort(row, {}, &Choice::expert);
    const size_t begin = out.slots.size();
    for (const Choice& choice : row) {
      const uint32_t record = site.bank->record(choice.expert);
      const auto same = std::find_if(out.slots.begin() + static_cast<ptrdiff_t>(begin), out.slots.end(),
                                     [&](const Slot& s) { return site.bank->record(s.expert) == record; });
      if (same != out.slots.end()) same->weight += choice.weight;
      else out.slots.push_back({choice.expert, static_cast<uint32_t>(t), choice.weight});
    }
  }
  out.first.push_back(out.slots.size());
  for (const Slot& slot : out.slots) out.experts.push_back(slot.expert);
  std::ranges::sort(out.experts);
  out.experts.erase(std::unique(out.experts.begin(), out.experts.end()), out.experts.end());
  return out;
}

namespace {

void add_bias(const Matrix* bias, Rows y) {
  if (!bias) return;
  const std::span<const float> values(reinterpret_cast<const float*>(bias->data), bias->cols);
  for (size_t t = 0; t < y.rows; t++) add({y[t], y.cols}, values);
}

const Matrix& part(const ExpertView& view, PartRole role, const Site& site) {
  const Matrix* found = view.find(role);
  if (!found) throw Error("layer {}: an expert lacks one of its matrices", site.layer);
  return *found;
}

void run_expert(const Step& step, const Site& site, const ExpertView& view, Buffer& input, Buffer& inner, Buffer& output) {
  if (view.kind == ExpertKind::zero) {
    for (size_t t = 0; t < input.rows(); t++) std::ranges::copy(input[t], output[t].begin());
    return;
  }
  const Matrix &gate = part(view, PartRole::gate, site), &up = part(view, PartRole::up, site), &down = part(view, PartRole::down, site);
  inner = Buffer(input.rows(), gate.rows);
  Buffer upper(input.rows(), up.rows);
  matmul(gate, input, inner, step.workers);
  matmul(up, input, upper, step.workers);
  add_bias(view.find(PartRole::gate_bias), inner);
  add_bias(view.find(PartRole::up_bias), upper);
  activate(step.model.config, inner, upper);
  matmul(down, inner, output, step.workers);
  add_bias(view.find(PartRole::down_bias), output);
}

}  // namespace

// Experts run in whatever order they arrive; their outputs wait, and each row is summed in ascending id from +0.
void run_experts(const Step& step, const Site& site, const RoutingPlan& plan, ConstRows x, Rows out) {
  const Slots all = slots_of(site, plan);
  const auto& [slots, first, ids] = all;
  std::vector<std::vector<uint32_t>> members(ids.size());  // slots by expert
  for (uint32_t s = 0; s < slots.size(); s++)
    members[static_cast<size_t>(std::ranges::lower_bound(ids, slots[s].expert) - ids.begin())].push_back(s);

  const size_t d = x.cols;
  const bool weight_input = site.config->weight_on_input;
  Buffer outputs(slots.size(), d);
  const std::unique_ptr<Lease> lease = site.bank->lease(ids);
  for (size_t i; (i = lease->wait_any()) != Lease::none;) {
    Buffer input(members[i].size(), d), inner(0, 0), output(members[i].size(), d);
    std::vector<uint32_t> rows;
    for (size_t m = 0; m < members[i].size(); m++) {
      const Slot& slot = slots[members[i][m]];
      rows.push_back(slot.row);
      for (size_t k = 0; k < d; k++) input[m][k] = weight_input ? x[slot.row][k] * slot.weight : x[slot.row][k];
    }
    run_expert(step, site, lease->view(i), input, inner, output);
    if (step.observer) step.observer->expert_ran(site, ids[i], rows, input, inner, output);
    for (size_t m = 0; m < members[i].size(); m++) std::ranges::copy(output[m], outputs[members[i][m]].begin());
  }
  for (size_t t = 0; t < plan.rows(); t++) {
    const std::span<float> sum(out[t], d);
    std::ranges::fill(sum, 0.0f);
    for (size_t s = first[t]; s < first[t + 1]; s++) add_scaled(sum, outputs[s], weight_input ? 1.0f : slots[s].weight);
  }
}

void mixture(Step& step, const Site& site, ConstRows x, Rows out) {
  const RoutingPlan plan = route(step, site, x);
  run_experts(step, site, plan, x, out);
  if (site.shared) {
    Buffer shared(x.rows, x.cols), gate(x.rows, site.shared_gate ? 1 : 0);
    feed_forward(step, site.shared, x, shared);
    if (site.shared_gate) apply(step, site.shared_gate, x, gate);
    for (size_t t = 0; t < x.rows; t++) add_scaled({out[t], out.cols}, shared[t], site.shared_gate ? sigmoid(gate[t][0]) : 1.0f);
  }
  for (size_t t = 0; t < x.rows; t++) {
    if (site.config->output_scale != 1) scale({out[t], out.cols}, site.config->output_scale);
    if (!site.output_bias.empty()) add({out[t], out.cols}, site.output_bias);
  }
}

}  // namespace moiety
