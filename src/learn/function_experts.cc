#include "learn/function_experts.h"

#include "learn/function.h"
#include "learn/function_parameter.h"

namespace moiety {
namespace {

// Keeps the slots alive for the backward pass.
struct HeldSlots : torch::CustomClassHolder {
  explicit HeldSlots(std::shared_ptr<const ExpertSlots> s) : slots(std::move(s)) {}
  std::shared_ptr<const ExpertSlots> slots;
};

ExpertWeights weights_of(const ExpertForm& form, const at::Tensor& in, const at::Tensor& down, const Pass& pass) {
  return {form, in.data_ptr<float>(), down.data_ptr<float>(), static_cast<size_t>(down.size(2)), pass.precision};
}

struct Experts : torch::autograd::Function<Experts> {
  static at::Tensor forward(AutogradContext* c, at::Tensor x, at::Tensor weight, at::Tensor in, at::Tensor down, const ExpertForm* form, std::shared_ptr<const ExpertSlots> slots, Pass* pass) {
    at::Tensor y = at::empty_like(x), inner = new_rows(static_cast<int64_t>(slots->slots()), in.size(1));
    grouped_experts(*slots, weights_of(*form, in, down, *pass), rows_of(x), {weight.data_ptr<float>(), slots->slots()}, inner.data_ptr<float>(), rows_to(y), pass->room, pass->workers);
    c->save_for_backward({x, weight, in, down, inner});
    c->saved_data["form"] = reinterpret_cast<int64_t>(form);
    c->saved_data["slots"] = c10::IValue::make_capsule(c10::make_intrusive<HeldSlots>(slots));
    keep(c, pass);
    return y;
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const auto held = c10::static_intrusive_pointer_cast<HeldSlots>(c->saved_data["slots"].toCapsule());
    const ExpertSlots& slots = *held->slots;
    const variable_list saved = c->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &in = saved[2], &down = saved[3], &inner = saved[4], dy = d_out[0].contiguous();
    at::Tensor dx = at::empty_like(x), d_weight = at::empty_like(weight);
    GradientPlace d_in(pass, in), d_down(pass, down);
    const ExpertWeights w = weights_of(*reinterpret_cast<const ExpertForm*>(c->saved_data["form"].toInt()), in, down, pass);
    grouped_experts_gradient(slots, w, rows_of(x), {weight.data_ptr<float>(), slots.slots()}, inner.data_ptr<float>(), rows_of(dy), rows_to(dx),
                             {d_weight.data_ptr<float>(), slots.slots()}, {d_in.data, d_down.data, d_in ? d_in.add : d_down.add}, pass.room, pass.workers);
    return {dx, d_weight, d_in.tensor, d_down.tensor, {}, {}, {}};
  }
};

}  // namespace

const ExpertFunction swiglu_function{&swiglu_form, [](const at::Tensor& inner) {
                                        const int64_t width = inner.size(-1) / 2;
                                        const at::Tensor gate = inner.narrow(-1, 0, width);
                                        return gate * at::sigmoid(gate) * inner.narrow(-1, width, width);
                                      }};
const ExpertFunction gelu_function{&gelu_form, [](const at::Tensor& inner) { return at::gelu(inner); }};
const ExpertFunction relu_function{&relu_form, [](const at::Tensor& inner) { return at::relu(inner); }};

at::Tensor choices_by_expert(const ExpertSlots& slots) {
  at::Tensor out = at::empty({static_cast<int64_t>(slots.slots())}, at::kLong);
  for (size_t i = 0; i < slots.slots(); i++) out.data_ptr<int64_t>()[slots.slot_of[i]] = static_cast<int64_t>(i);
  return out;
}

at::Tensor plain_experts(const ExpertFunction& function, const ExpertSlots& slots, const at::Tensor& x, const at::Tensor& weight, const ExpertMatrices& m) {
  const int64_t count = static_cast<int64_t>(slots.slots());
  at::Tensor row = at::empty({count}, at::kLong);  // of each slot
  std::ranges::copy(slots.row_of, row.data_ptr<int64_t>());
  row = row.to(x.device());
  const at::Tensor choice = choices_by_expert(slots).to(x.device());
  const at::Tensor inputs = at::index_select(x, 0, row);
  const std::vector<at::Tensor> in = m.in.unbind(0), down = m.down.unbind(0);
  std::vector<at::Tensor> outputs;
  for (size_t e = 0; e < slots.experts(); e++) {
    const int64_t begin = static_cast<int64_t>(slots.first_of_expert[e]), rows = static_cast<int64_t>(slots.first_of_expert[e + 1]) - begin;
    if (rows == 0) continue;
    at::Tensor inner = at::matmul(inputs.narrow(0, begin, rows), in[e].t());
    if (m.in_bias.defined()) inner = inner + m.in_bias.select(0, static_cast<int64_t>(e));
    at::Tensor output = at::matmul(function.plain(inner), down[e].t());
    if (m.down_bias.defined()) output = output + m.down_bias.select(0, static_cast<int64_t>(e));
    outputs.push_back(output);
  }
  if (outputs.empty()) return at::zeros_like(x);
  return at::index_add(at::zeros_like(x), 0, row, at::cat(outputs) * at::index_select(weight, 0, choice).unsqueeze(1));
}

at::Tensor experts(const ExpertFunction& function, std::shared_ptr<const ExpertSlots> slots, const at::Tensor& x, const at::Tensor& weight, const ExpertMatrices& m, Pass& pass) {
  if (!ours(x)) return plain_experts(function, *slots, x, weight, m);
  if (!function.form || m.in_bias.defined()) {
    const auto leaf = [&](const at::Tensor& w) { return w.defined() ? in_graph(w, pass) : w; };
    return plain_experts(function, *slots, x, weight, {leaf(m.in), leaf(m.down), leaf(m.in_bias), leaf(m.down_bias)});
  }
  return Experts::apply(x.contiguous(), weight.contiguous(), m.in, m.down, function.form, std::move(slots), &pass);
}

}  // namespace moiety
