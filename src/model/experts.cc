#include "model/experts.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"

namespace moiety {
namespace {

const Matrix& part(const ExpertView& view, PartRole role, const Site& site) {
  const Matrix* found = view.find(role);
  if (!found) throw Error("layer {}: an expert lacks one of its matrices", site.layer);
  return *found;
}

void add_bias(const Matrix* bias, Rows y) {
  if (!bias) return;
  const std::span<const float> values(reinterpret_cast<const float*>(bias->data), bias->cols);
  for (size_t t = 0; t < y.rows; t++) add({y[t], y.cols}, values);
}

void run_expert(const Step& step, const Site& site, const ExpertView& view, Buffer& input, Buffer& inner, Buffer& output) {
  if (!view.kind->is_ffn()) {
    std::vector<uint32_t> rows(input.rows());
    std::iota(rows.begin(), rows.end(), 0);
    const std::unique_ptr<RowExpert> expert = view.kind->serve ? view.kind->serve(view, input, rows, step.workers) : nullptr;
    for (size_t t = 0; t < input.rows(); t++)
      if (expert) expert->output(input[t], t, 0, output[t]);
      else std::ranges::fill(output[t], 0.0f);
    return;
  }
  const Matrix &up = part(view, PartRole::up, site), &down = part(view, PartRole::down, site);
  inner = Buffer(input.rows(), up.rows);
  Activations x{ConstRows(input)};
  if (view.kind->has_gate) {
    Buffer upper(input.rows(), up.rows);
    const MatrixProduct both[] = {{&part(view, PartRole::gate, site), inner}, {&up, upper}};
    matmul(both, x, step.workers);
    add_bias(view.find(PartRole::gate_bias), inner);
    add_bias(view.find(PartRole::up_bias), upper);
    for (size_t t = 0; t < inner.rows(); t++) activate(step.model.config, *view.kind, inner[t], upper[t]);
  } else {
    matmul(up, x, inner, step.workers);
    for (size_t t = 0; t < inner.rows(); t++) activate(step.model.config, *view.kind, inner[t], {});
  }
  Activations activated{ConstRows(inner)};
  matmul(down, activated, output, step.workers);
  add_bias(view.find(PartRole::down_bias), output);
}

// Experts in whatever order they arrive; their outputs wait in a buffer for the sum.
void run_apart(const Step& step, const Site& site, const Assignment& a, Lease& lease, ConstRows shared_weights, Activations& activations,
               Rows out) {
  const ConstRows x = activations.floats();
  const size_t d = x.cols;
  const bool weight_input = site.config->weight_on_input;
  Buffer outputs(a.rows.size(), d);
  for (size_t i; (i = lease.wait_any()) != Lease::none;) {
    const std::span<const uint32_t> rows = a.rows_of(i);
    const std::span<const float> weights = a.weights_of(i);
    Buffer input(rows.size(), d), inner(0, 0), output(rows.size(), d);
    for (size_t m = 0; m < rows.size(); m++)
      for (size_t k = 0; k < d; k++) input[m][k] = weight_input ? x[rows[m]][k] * weights[m] : x[rows[m]][k];
    run_expert(step, site, lease.view(i), input, inner, output);
    if (step.observer && step.observer->watches_experts()) step.observer->expert_ran(site, a.experts[i], rows, input, inner, output);
    for (size_t m = 0; m < rows.size(); m++) std::ranges::copy(output[m], outputs[a.first[i] + m].begin());
  }
  const std::vector<float> ones(weight_input ? a.rows.size() : 0, 1.0f);
  sum_choices(a, weight_input ? ones : a.weights, outputs, out);
  for (size_t i = 0; i < site.shared.size(); i++) {
    Buffer shared(x.rows, d);
    feed_forward(step, site.shared[i].ffn, *site.shared[i].kind, activations, shared);
    for (size_t t = 0; t < x.rows; t++) add_scaled({out[t], d}, shared[t], shared_weights[i][t]);
  }
}

}  // namespace

void sum_choices(const Assignment& a, std::span<const float> weights, ConstRows outputs, Rows out) {
  for (size_t t = 0; t < out.rows; t++) std::fill_n(out[t], out.cols, 0.0f);
  for (size_t s = 0; s < a.rows.size(); s++) add_scaled({out[a.rows[s]], out.cols}, {outputs[s], out.cols}, weights[s]);
}

void run_experts(const Step& step, const Site& site, const Assignment& assignment, ConstRows shared_weights, Activations& x, Rows out) {
  const std::unique_ptr<Lease> lease = site.bank->lease(assignment.experts);
  if (lease->all_ready() && !(step.observer && step.observer->watches_experts()) && !site.config->weight_on_input) {
    std::vector<const ExpertView*> views(assignment.experts.size());
    for (size_t i = 0; i < views.size(); i++) views[i] = &lease->view(i);
    if (run_fused(step, site, assignment, views, shared_weights, x, out)) return;
  }
  run_apart(step, site, assignment, *lease, shared_weights, x, out);
}

}  // namespace moiety
