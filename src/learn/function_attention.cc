#include "learn/function_attention.h"

#include <limits>

#include "learn/function.h"

namespace moiety {
namespace {

struct Attention : torch::autograd::Function<Attention> {
  static at::Tensor forward(AutogradContext* c, at::Tensor q, at::Tensor k, at::Tensor v, const CausalShape* shape, Pass* pass) {
    at::Tensor out = at::empty({q.size(0), static_cast<int64_t>(shape->heads * shape->value)}, q.options()), sums = at::empty({q.size(0), static_cast<int64_t>(shape->heads)}, q.options());
    CausalShape own = *shape;
    own.precision = pass->precision;
    causal_attention(own, rows_of(q), rows_of(k), rows_of(v), rows_to(out), sums.data_ptr<float>(), pass->room, pass->workers);
    c->save_for_backward({q, k, v, out, sums});
    for (const auto& [name, member] : sizes) c->saved_data[name] = static_cast<int64_t>(shape->*member);
    c->saved_data["scale"] = static_cast<double>(shape->scale);
    keep(c, pass);
    return out;
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    CausalShape shape{};
    for (const auto& [name, member] : sizes) shape.*member = static_cast<size_t>(c->saved_data[name].toInt());
    shape.scale = static_cast<float>(c->saved_data["scale"].toDouble());
    shape.precision = pass.precision;
    const variable_list saved = c->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2], d = d_out[0].contiguous();
    at::Tensor dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    causal_attention_gradient(shape, rows_of(q), rows_of(k), rows_of(v), rows_of(saved[3]), saved[4].data_ptr<float>(), rows_of(d),
                              {rows_to(dq), rows_to(dk), rows_to(dv)}, pass.room, pass.workers);
    return {dq, dk, dv, {}, {}};
  }
  static constexpr std::pair<const char*, size_t CausalShape::*> sizes[] = {
      {"sequences", &CausalShape::sequences}, {"length", &CausalShape::length}, {"heads", &CausalShape::heads},
      {"kv_heads", &CausalShape::kv_heads},   {"head", &CausalShape::head},     {"value", &CausalShape::value},
      {"window", &CausalShape::window},     {"chunk", &CausalShape::chunk}};
};

}  // namespace

at::Tensor plain_attention(const CausalShape& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& sinks) {
  const auto n = [](size_t x) { return static_cast<int64_t>(x); };
  const int64_t group = n(s.heads / s.kv_heads);
  const auto by_head = [&](const at::Tensor& x, size_t heads) { return x.reshape({n(s.sequences), n(s.length), n(heads), -1}).transpose(1, 2); };
  const at::Tensor keys = at::repeat_interleave(by_head(k, s.kv_heads), group, 1), values = at::repeat_interleave(by_head(v, s.kv_heads), group, 1);
  const at::Tensor position = at::arange(n(s.length), q.options().dtype(at::kLong)), behind = position.unsqueeze(1) - position.unsqueeze(0);
  at::Tensor hidden = s.window ? at::logical_or(behind < 0, behind >= n(s.window)) : behind < 0;
  if (s.chunk) hidden = at::logical_or(hidden, behind > (position % n(s.chunk)).unsqueeze(1));
  const at::Tensor scores = (at::matmul(by_head(q, s.heads), keys.transpose(-1, -2)) * s.scale).masked_fill(hidden, -std::numeric_limits<double>::infinity());
  const auto probabilities = [&] {
    if (!sinks.defined()) return at::softmax(scores, -1);
    const at::Tensor sink = sinks.view({1, -1, 1, 1}).expand({scores.size(0), scores.size(1), scores.size(2), 1});
    return at::softmax(at::cat({scores, sink}, -1), -1).narrow(-1, 0, scores.size(-1));
  };
  return at::matmul(probabilities(), values).transpose(1, 2).reshape({q.size(0), n(s.heads * s.value)});
}

at::Tensor attention(const CausalShape& shape, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, Pass& pass) {
  return ours(q) ? Attention::apply(q.contiguous(), k.contiguous(), v.contiguous(), &shape, &pass) : plain_attention(shape, q, k, v);
}

}  // namespace moiety
