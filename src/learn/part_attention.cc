// kind = "causal": multi-head attention with grouped keys, rotary positions and optional norms of queries and keys.
#include <cmath>

#include "learn/facts.h"
#include "learn/function_attention.h"
#include "learn/function_linear.h"
#include "learn/function_norm.h"
#include "learn/function_rope.h"
#include "learn/part.h"

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
    rope_ = rope_table(site.context, head_, base_);
    qk_norm_ = t.text("qk_norm", "none");
    if (qk_norm_ != "none" && qk_norm_ != "per_head" && qk_norm_ != "whole") t.wrong("qk_norm", "none, per_head or whole is expected");
    epsilon_ = site.epsilon;
    const Initial weight{0, site.deviation};
    q_ = arena_.declare(site.prefix + "attn_q.weight", {heads_ * head_, d_}, weight);
    k_ = arena_.declare(site.prefix + "attn_k.weight", {kv_heads_ * head_, d_}, weight);
    v_ = arena_.declare(site.prefix + "attn_v.weight", {kv_heads_ * head_, d_}, weight);
    out_ = arena_.declare(site.prefix + "attn_output.weight", {d_, heads_ * head_}, weight);
    if (qk_norm_ != "none") {
      q_norm_ = arena_.declare(site.prefix + "attn_q_norm.weight", {qk_norm_ == "whole" ? heads_ * head_ : head_}, {1, 0});
      k_norm_ = arena_.declare(site.prefix + "attn_k_norm.weight", {qk_norm_ == "whole" ? kv_heads_ * head_ : head_}, {1, 0});
    }
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    const std::vector<at::Tensor> qkv = linears(x, {arena_.value(q_), arena_.value(k_), arena_.value(v_)}, step.pass);
    const at::Tensor q = rope(normed(qkv[0], q_norm_, step.pass), rope_, rows.length, head_, step.pass);
    const at::Tensor k = rope(normed(qkv[1], k_norm_, step.pass), rope_, rows.length, head_, step.pass);
    const auto n = [](int64_t v) { return static_cast<size_t>(v); };
    const CausalShape shape{n(rows.rows / rows.length), n(rows.length), n(heads_), n(kv_heads_), n(head_), n(window_), 1 / std::sqrt(static_cast<float>(head_))};
    return linear(attention(shape, q, k, qkv[2], step.pass), arena_.value(out_), step.pass);
  }

  PartFacts facts() const override {
    PartFacts out{{{"num_attention_heads", heads_}, {"num_key_value_heads", kv_heads_}, {"head_dim", head_}, {"rope_theta", base_}}, qk_norm_, "", "", {}};
    if (window_) out.beyond = "a window";
    out.own = {{"heads", heads_}, {"kv_heads", kv_heads_}, {"head_size", head_}, {"rope_theta", base_}, {"window", window_}, {"qk_norm", qk_norm_}};
    return out;
  }

  size_t active_parameters() const override { return static_cast<size_t>((2 * heads_ + 2 * kv_heads_) * head_ * d_); }

 private:
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
  size_t q_, k_, v_, out_, q_norm_ = 0, k_norm_ = 0;
};

}  // namespace

PartInfo causal_attention_part() {
  return {"causal", "attention to what came before: heads, kv_heads, head, rope, window, qk_norm", "Vaswani et al. 2017; Ainslie et al. 2023 (GQA); Su et al. 2021 (RoPE)",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<CausalPart>(t, site); }};
}

}  // namespace moiety
