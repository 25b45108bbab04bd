// kind = "causal": multi-head attention with grouped keys, rotary positions and optional norms of queries and keys.
#include <cmath>
#include <optional>

#include "learn/facts.h"
#include "learn/function_attention.h"
#include "learn/function_bias.h"
#include "learn/function_linear.h"
#include "learn/function_norm.h"
#include "learn/function_rope.h"
#include "learn/part.h"
#include "learn/positions.h"

namespace moiety {
namespace {

class CausalPart : public ModelPart {
 public:
  CausalPart(const Table& t, const PartSite& site) : arena_(site.arena), d_(site.d) {
    heads_ = static_cast<int64_t>(t.count("heads"));
    kv_heads_ = static_cast<int64_t>(t.count("kv_heads", static_cast<uint64_t>(heads_)));
    if (heads_ > 1 << 16) t.wrong("heads", "it is larger than 65536");
    if (heads_ == 0 || kv_heads_ == 0 || heads_ % kv_heads_ != 0) t.wrong("kv_heads", fmt::format("{} heads can't share {} key heads evenly", heads_, kv_heads_));
    head_ = static_cast<int64_t>(t.count("head", static_cast<uint64_t>(d_ / heads_)));
    if (head_ > 1 << 16) t.wrong("head", "it is larger than 65536");
    if (head_ == 0 || head_ % 2 != 0) t.wrong("head", fmt::format("heads of {} numbers can't be rotated in pairs", head_));
    window_ = t.count("window", 0);
    base_ = t.number("rope", 10000);
    rope_ = read_positions(t, site.context, head_, base_);
    qk_norm_ = t.text("qk_norm", "none");
    if (qk_norm_ != "none" && qk_norm_ != "per_head" && qk_norm_ != "whole") t.wrong("qk_norm", "none, per_head or whole is expected");
    epsilon_ = site.epsilon;
    const bool bias = t.flag("bias", false), output_bias = t.flag("output_bias", false);
    q_ = declare(site, "attn_q", heads_ * head_, d_, bias);
    k_ = declare(site, "attn_k", kv_heads_ * head_, d_, bias);
    v_ = declare(site, "attn_v", kv_heads_ * head_, d_, bias);
    out_ = declare(site, "attn_output", d_, heads_ * head_, output_bias);
    if (qk_norm_ != "none") {
      q_norm_ = arena_.declare(site.prefix + "attn_q_norm.weight", {qk_norm_ == "whole" ? heads_ * head_ : head_}, {1, 0});
      k_norm_ = arena_.declare(site.prefix + "attn_k_norm.weight", {qk_norm_ == "whole" ? kv_heads_ * head_ : head_}, {1, 0});
    }
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    const std::vector<at::Tensor> qkv = linears(x, {arena_.value(q_.weight), arena_.value(k_.weight), arena_.value(v_.weight)}, step.pass, step.pass.precision);
    const at::Tensor q = rope(normed(biased(qkv[0], q_, step.pass), q_norm_, step.pass), rope_, rows.length, head_, step.pass);
    const at::Tensor k = rope(normed(biased(qkv[1], k_, step.pass), k_norm_, step.pass), rope_, rows.length, head_, step.pass);
    const auto n = [](int64_t v) { return static_cast<size_t>(v); };
    const CausalShape shape{n(rows.rows / rows.length), n(rows.length), n(heads_), n(kv_heads_), n(head_), n(head_), n(window_), 1 / std::sqrt(static_cast<float>(head_))};
    const at::Tensor mixed = attention(shape, q, k, biased(qkv[2], v_, step.pass), step.pass);
    return biased(linear(mixed, arena_.value(out_.weight), step.pass, step.pass.precision), out_, step.pass);
  }

  PartFacts facts() const override {
    PartFacts out;
    out.config = {{"num_attention_heads", heads_}, {"num_key_value_heads", kv_heads_}, {"head_dim", head_}, {"rope_theta", base_}};
    out.qk_norm = qk_norm_, out.bias = q_.bias.has_value();
    if (window_) out.beyond = "a window";
    if (out_.bias) out.beyond = "a bias of the attention's output";
    out.own = {{"heads", heads_}, {"kv_heads", kv_heads_}, {"head_size", head_}, {"rope_theta", base_}, {"window", window_}, {"qk_norm", qk_norm_}};
    if (q_.bias) out.own["bias"] = true;
    if (out_.bias) out.own["output_bias"] = true;
    return out;
  }

  size_t active_parameters() const override { return static_cast<size_t>((2 * heads_ + 2 * kv_heads_) * head_ * d_); }

 private:
  struct Projection {
    size_t weight = 0;
    std::optional<size_t> bias = {};
  };
  Projection declare(const PartSite& site, const std::string& name, int64_t rows, int64_t cols, bool bias) {
    Projection out{arena_.declare(site.prefix + name + ".weight", {rows, cols}, {0, site.deviation})};
    if (bias) out.bias = arena_.declare(site.prefix + name + ".bias", {rows}, {0, 0});
    return out;
  }
  at::Tensor biased(const at::Tensor& y, const Projection& p, Pass& pass) const { return p.bias ? add_bias(y, arena_.value(*p.bias), pass) : y; }

  at::Tensor normed(const at::Tensor& x, size_t weight, Pass& pass) const {
    if (qk_norm_ == "none") return x;
    if (qk_norm_ == "whole") return rms_norm(x, arena_.value(weight), epsilon_, pass);
    return rms_norm(x.view({-1, head_}), arena_.value(weight), epsilon_, pass).view(x.sizes());
  }

  Arena& arena_;
  int64_t d_, heads_, kv_heads_, head_, window_;
  double base_;
  RopeTable rope_;
  std::string qk_norm_;
  float epsilon_;
  Projection q_, k_, v_, out_;
  size_t q_norm_ = 0, k_norm_ = 0;
};

}  // namespace

PartInfo causal_attention_part() {
  return {"causal", "attention to what came before: heads, kv_heads, head, rope, window, qk_norm, bias, output_bias", "Vaswani et al. 2017; Ainslie et al. 2023 (GQA); Su et al. 2021 (RoPE)",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<CausalPart>(t, site); }};
}

}  // namespace moiety
