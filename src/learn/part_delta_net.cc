// kind = "delta_net": a state for each head, which keys read and correct: the gated delta rule (Yang et al. 2024, arXiv 2412.06464) and, with a decay for
// each channel of a key, Kimi delta attention (arXiv 2510.26692). Position after position in libtorch's operations: slow. Only models that a run starts
// from may have it.
//   S = decay S;  S += k (beta (v - S^T k))^T;  out = S^T q
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "learn/facts.h"
#include "learn/function_convolution.h"
#include "learn/function_norm.h"
#include "learn/function_parameter.h"
#include "learn/projection.h"

namespace moiety {
namespace {

class DeltaNet : public ModelPart {
 public:
  DeltaNet(const Table& t, const PartSite& site) : arena_(site.arena), d_(site.d), epsilon_(site.epsilon) {
    key_heads_ = t.size("key_heads"), heads_ = t.size("value_heads"), key_ = t.size("key_size"), value_ = t.size("value_size"), taps_ = t.size("taps");
    if (heads_ % key_heads_ != 0) t.wrong("value_heads", fmt::format("{} heads can't share {} key heads evenly", heads_, key_heads_));
    by_channel_ = t.flag("by_channel", false);  // Kimi's: a decay for each number of a key, gates that are sigmoids
    safe_ = t.has("lower_bound");
    lower_bound_ = safe_ ? t.number("lower_bound") : 0;  // of the decays' logarithms
    const int64_t keys = key_heads_ * key_, values = heads_ * value_, decays = by_channel_ ? keys : heads_;
    q_ = Projection(site, "delta_q", keys, d_, false), k_ = Projection(site, "delta_k", keys, d_, false), v_ = Projection(site, "delta_v", values, d_, false);
    gate_ = Projection(site, "delta_gate", values, d_, false), beta_ = Projection(site, "delta_beta", heads_, d_, false);
    decay_ = Projection(site, "delta_decay", decays, d_, true);
    const auto declare = [&](const char* name, int64_t n, Initial initial) { return arena_.declare(site.prefix + name, {n}, initial); };
    const Initial drawn{0, site.deviation};
    if (by_channel_) taps_weights_ = {declare("delta_conv_q.weight", keys * taps_, drawn), declare("delta_conv_k.weight", keys * taps_, drawn), declare("delta_conv_v.weight", values * taps_, drawn)};
    else taps_weights_ = {declare("delta_conv.weight", (2 * keys + values) * taps_, drawn)};
    rate_ = declare("delta_decay_rate", heads_, {0, 0});
    norm_ = declare("delta_norm.weight", value_, {1, 0});
    out_ = Projection(site, "delta_output", d_, values, false);
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    Pass& pass = step.pass;
    const at::Tensor mixed = convolved(at::cat({project(x, q_, arena_, pass), project(x, k_, arena_, pass), project(x, v_, arena_, pass)}, 1), rows.length, pass);
    const int64_t keys = key_heads_ * key_, values = heads_ * value_;
    const auto by_head = [&](const at::Tensor& y, int64_t heads) { return y.reshape({-1, rows.length, heads, y.size(1) / heads}); };  // [sequences, length, heads, size]
    const auto unit = [&](const at::Tensor& y) { return y * at::rsqrt((y * y).sum(-1, true) + 1e-6); };
    const auto spread = [&](const at::Tensor& y) { return at::repeat_interleave(y, heads_ / key_heads_, 2); };
    const at::Tensor q = spread(unit(by_head(mixed.narrow(1, 0, keys), key_heads_)) / std::sqrt(static_cast<double>(key_))), k = spread(unit(by_head(mixed.narrow(1, keys, keys), key_heads_)));
    const at::Tensor v = by_head(mixed.narrow(1, 2 * keys, values), heads_), beta = at::sigmoid(by_head(project(x, beta_, arena_, pass), heads_));
    const at::Tensor decay = at::exp(log_decays(by_head(project(x, decay_, arena_, pass), heads_), pass));  // [sequences, length, heads, 1 or key size]
    at::Tensor state = at::zeros({q.size(0), heads_, key_, value_}, q.options());
    std::vector<at::Tensor> out;
    for (int64_t t = 0; t < rows.length; t++) {
      const at::Tensor key = k.select(1, t).unsqueeze(-1);
      state = state * decay.select(1, t).unsqueeze(-1);
      const at::Tensor correction = (v.select(1, t) - (state * key).sum(-2)) * beta.select(1, t);
      state = state + key * correction.unsqueeze(-2);
      out.push_back((state * q.select(1, t).unsqueeze(-1)).sum(-2));
    }
    const at::Tensor normed = rms_norm(at::stack(out, 1).reshape({-1, value_}), arena_.value(norm_), epsilon_, pass).view({-1, values});
    const at::Tensor gate = project(x, gate_, arena_, pass);
    return project(normed * (by_channel_ ? at::sigmoid(gate) : at::silu(gate)), out_, arena_, pass);
  }

  PartFacts facts() const override {
    PartFacts out;
    out.unwritten = "delta_net";
    return out;
  }

  size_t active_parameters() const override { return static_cast<size_t>(d_ * (2 * key_heads_ * key_ + 3 * heads_ * value_ + heads_ + (by_channel_ ? key_heads_ * key_ : heads_))); }

 private:
  at::Tensor convolved(const at::Tensor& qkv, int64_t length, Pass& pass) const {
    std::vector<at::Tensor> taps;
    for (size_t w : taps_weights_) taps.push_back(in_graph(arena_.value(w), pass));
    return at::silu(causal_convolution(qkv, at::cat(taps).view({-1, taps_}), length));
  }
  // Their rate is -exp(A) for each head, of which A is trained.
  at::Tensor log_decays(const at::Tensor& raw, Pass& pass) const {
    const at::Tensor rate = -at::exp(in_graph(arena_.value(rate_), pass)).unsqueeze(1);
    return safe_ ? lower_bound_ * at::sigmoid(-rate * raw) : rate * at::softplus(raw);
  }

  Arena& arena_;
  int64_t d_, key_heads_, heads_, key_, value_, taps_;
  float epsilon_;
  bool by_channel_, safe_;
  double lower_bound_;
  Projection q_, k_, v_, gate_, beta_, decay_, out_;
  std::vector<size_t> taps_weights_;
  size_t rate_, norm_;
};

}  // namespace

PartInfo delta_net_part() {
  return {"delta_net", "a state that keys read and correct: key_heads, value_heads, key_size, value_size, taps, by_channel, lower_bound", "Yang et al. 2024, Gated Delta Networks, arXiv 2412.06464",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<DeltaNet>(t, site); }};
}

}  // namespace moiety
