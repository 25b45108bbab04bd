#include "learn/function_experts.h"

#include "learn/function.h"

namespace moiety {
namespace {

// Keeps the slots alive for the backward pass.
struct HeldSlots : torch::CustomClassHolder {
  explicit HeldSlots(std::shared_ptr<const ExpertSlots> s) : slots(std::move(s)) {}
  std::shared_ptr<const ExpertSlots> slots;
};

struct SwigluExperts : torch::autograd::Function<SwigluExperts> {
  static at::Tensor forward(AutogradContext* c, at::Tensor x, at::Tensor weight, at::Tensor gate_up, at::Tensor down, std::shared_ptr<const ExpertSlots> slots, Pass* pass) {
    at::Tensor y = at::empty_like(x), hidden = new_rows(static_cast<int64_t>(slots->slots()), gate_up.size(1));
    const SwigluWeights w{gate_up.data_ptr<float>(), down.data_ptr<float>(), static_cast<size_t>(down.size(2))};
    grouped_experts(*slots, w, rows_of(x), {weight.data_ptr<float>(), slots->slots()}, hidden.data_ptr<float>(), rows_to(y), pass->room, pass->workers);
    c->save_for_backward({x, weight, gate_up, down, hidden});
    c->saved_data["slots"] = c10::IValue::make_capsule(c10::make_intrusive<HeldSlots>(slots));
    keep(c, pass);
    return y;
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const auto held = c10::static_intrusive_pointer_cast<HeldSlots>(c->saved_data["slots"].toCapsule());
    const ExpertSlots& slots = *held->slots;
    const variable_list saved = c->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &gate_up = saved[2], &down = saved[3], &hidden = saved[4], dy = d_out[0].contiguous();
    at::Tensor dx = at::empty_like(x), d_weight = at::empty_like(weight);
    GradientPlace d_gate_up(pass, gate_up), d_down(pass, down);
    const SwigluWeights w{gate_up.data_ptr<float>(), down.data_ptr<float>(), static_cast<size_t>(down.size(2))};
    grouped_experts_gradient(slots, w, rows_of(x), {weight.data_ptr<float>(), slots.slots()}, hidden.data_ptr<float>(), rows_of(dy), rows_to(dx),
                             {d_weight.data_ptr<float>(), slots.slots()}, {d_gate_up.data, d_down.data, d_gate_up ? d_gate_up.add : d_down.add}, pass.room, pass.workers);
    return {dx, d_weight, d_gate_up.tensor, d_down.tensor, {}, {}};
  }
};

}  // namespace

at::Tensor plain_swiglu_experts(const ExpertSlots& slots, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gate_up, const at::Tensor& down) {
  const int64_t width = down.size(2), count = static_cast<int64_t>(slots.slots());
  at::Tensor row = at::empty({count}, at::kLong), choice = at::empty({count}, at::kLong);  // of each slot
  std::ranges::copy(slots.row_of, row.data_ptr<int64_t>());
  for (int64_t i = 0; i < count; i++) choice.data_ptr<int64_t>()[slots.slot_of[static_cast<size_t>(i)]] = i;
  row = row.to(x.device()), choice = choice.to(x.device());
  const at::Tensor inputs = at::index_select(x, 0, row);
  const std::vector<at::Tensor> gate_ups = gate_up.unbind(0), downs = down.unbind(0);
  std::vector<at::Tensor> outputs;
  for (size_t e = 0; e < slots.experts(); e++) {
    const int64_t begin = static_cast<int64_t>(slots.first_of_expert[e]), rows = static_cast<int64_t>(slots.first_of_expert[e + 1]) - begin;
    if (rows == 0) continue;
    const at::Tensor product = at::matmul(inputs.narrow(0, begin, rows), gate_ups[e].t()), gate = product.narrow(1, 0, width), up = product.narrow(1, width, width);
    outputs.push_back(at::matmul(gate * at::sigmoid(gate) * up, downs[e].t()));
  }
  if (outputs.empty()) return at::zeros_like(x);
  return at::index_add(at::zeros_like(x), 0, row, at::cat(outputs) * at::index_select(weight, 0, choice).unsqueeze(1));
}

at::Tensor swiglu_experts(std::shared_ptr<const ExpertSlots> slots, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gate_up, const at::Tensor& down, Pass& pass) {
  if (!ours(x)) return plain_swiglu_experts(*slots, x, weight, gate_up, down);
  return SwigluExperts::apply(x.contiguous(), weight.contiguous(), gate_up, down, std::move(slots), &pass);
}

}  // namespace moiety
