// kind = "causal": multi-head attention with grouped keys, rotary positions and optional norms of queries and keys.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/floor.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>

#include <cmath>

#include "learn/facts.h"
#include "learn/function_attention.h"
#include "learn/function_norm.h"
#include "learn/function_parameter.h"
#include "learn/function_rope.h"
#include "learn/positions.h"
#include "learn/projection.h"

namespace moiety {
namespace {

// What only models have that a run starts from.
struct Variant {
  int64_t rotated;  // the first numbers of a head that turn
  float scale;      // of scores
  bool norm_after_rope = false;
  double clip = 0;             // queries, keys and values lie between -clip and clip; 0: anywhere
  std::string gate = "none";   // its sigmoid times what comes out of the heads; in_query: the query's projection gives it, too
  bool sinks = false;          // of each head a score that joins the softmax
  size_t chunk = 0;            // rows see those of their own chunk of so many; 0: all
  double temperature_floor = 0, temperature_scale = 0;  // queries far behind the begin are multiplied with more: Llama 4
  bool operator==(const Variant&) const = default;
};

class CausalPart : public ModelPart {
 public:
  CausalPart(const Table& t, const PartSite& site) : arena_(site.arena), d_(site.d), epsilon_(site.epsilon) {
    heads_ = static_cast<int64_t>(t.count("heads"));
    kv_heads_ = static_cast<int64_t>(t.count("kv_heads", static_cast<uint64_t>(heads_)));
    if (heads_ > 1 << 16) t.wrong("heads", "it is larger than 65536");
    if (heads_ == 0 || kv_heads_ == 0 || heads_ % kv_heads_ != 0) t.wrong("kv_heads", fmt::format("{} heads can't share {} key heads evenly", heads_, kv_heads_));
    head_ = static_cast<int64_t>(t.count("head", static_cast<uint64_t>(d_ / heads_)));
    if (head_ > 1 << 16) t.wrong("head", "it is larger than 65536");
    if (head_ == 0 || head_ % 2 != 0) t.wrong("head", fmt::format("heads of {} numbers can't be rotated in pairs", head_));
    window_ = t.count("window", 0);
    base_ = t.number("rope", 10000);
    qk_norm_ = t.text("qk_norm", "none");
    if (qk_norm_ != "none" && qk_norm_ != "per_head" && qk_norm_ != "whole" && qk_norm_ != "l2") t.wrong("qk_norm", "none, per_head or whole is expected");
    read_variant(t);
    rope_ = read_positions(t, site.context, variant_.rotated, base_);
    const bool bias = t.flag("bias", false), output_bias = t.flag("output_bias", false);
    q_ = Projection(site, "attn_q", (variant_.gate == "in_query" ? 2 : 1) * heads_ * head_, d_, bias);
    k_ = Projection(site, "attn_k", kv_heads_ * head_, d_, bias);
    v_ = Projection(site, "attn_v", kv_heads_ * head_, d_, bias);
    out_ = Projection(site, "attn_output", d_, heads_ * head_, output_bias);
    if (variant_.gate == "per_element") gate_ = Projection(site, "attn_gate", heads_ * head_, d_, false);
    if (variant_.sinks) sinks_ = arena_.declare(site.prefix + "attn_sinks.weight", {heads_}, {0, 0});
    if (qk_norm_ == "per_head" || qk_norm_ == "whole") {
      q_norm_ = arena_.declare(site.prefix + "attn_q_norm.weight", {qk_norm_ == "whole" ? heads_ * head_ : head_}, {1, 0});
      k_norm_ = arena_.declare(site.prefix + "attn_k_norm.weight", {qk_norm_ == "whole" ? kv_heads_ * head_ : head_}, {1, 0});
    }
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    Pass& pass = step.pass;
    const std::vector<at::Tensor> qkv = linears(x, {arena_.value(q_.weight), arena_.value(k_.weight), arena_.value(v_.weight)}, pass, pass.precision);
    at::Tensor q = biased(qkv[0], q_, arena_, pass), gate;
    if (variant_.gate == "in_query") {  // by head, behind its query
      const at::Tensor both = q.view({-1, heads_, 2, head_});
      q = both.select(2, 0).reshape({-1, heads_ * head_}), gate = both.select(2, 1).reshape({-1, heads_ * head_});
    } else if (variant_.gate == "per_element") {
      gate = project(x, gate_, arena_, pass);
    }
    q = placed(q, q_norm_, rows.length, pass);
    const at::Tensor k = placed(biased(qkv[1], k_, arena_, pass), k_norm_, rows.length, pass);
    if (variant_.temperature_floor > 0) q = q * temperatures(rows).to(q.options());
    const at::Tensor v = clipped(biased(qkv[2], v_, arena_, pass));
    const auto n = [](int64_t i) { return static_cast<size_t>(i); };
    const CausalShape shape{n(rows.rows / rows.length), n(rows.length), n(heads_), n(kv_heads_), n(head_), n(head_), n(window_), variant_.scale, Precision::f32, variant_.chunk};
    at::Tensor mixed = variant_.sinks ? plain_attention(shape, q, k, v, in_graph(arena_.value(sinks_), pass)) : attention(shape, q, k, v, pass);
    if (gate.defined()) mixed = mixed * at::sigmoid(gate);
    return project(mixed, out_, arena_, pass);
  }

  PartFacts facts() const override {
    PartFacts out;
    out.config = {{"num_attention_heads", heads_}, {"num_key_value_heads", kv_heads_}, {"head_dim", head_}, {"rope_theta", base_}};
    out.qk_norm = qk_norm_, out.bias = q_.bias.has_value();
    if (window_) out.beyond = "a window";
    if (out_.bias) out.beyond = "a bias of the attention's output";
    if (varied_) out.unwritten = "rope_frequencies, rotated, scale, qk_norm = l2, norm_after_rope, clip, gate, chunk, sinks or temperature_floor";
    out.own = {{"heads", heads_}, {"kv_heads", kv_heads_}, {"head_size", head_}, {"rope_theta", base_}, {"window", window_}, {"qk_norm", qk_norm_}};
    if (q_.bias) out.own["bias"] = true;
    if (out_.bias) out.own["output_bias"] = true;
    return out;
  }

  size_t active_parameters() const override { return static_cast<size_t>((2 * heads_ + 2 * kv_heads_ + (variant_.gate != "none" ? heads_ : 0)) * head_ * d_); }

 private:
  void read_variant(const Table& t) {
    const Variant usual{head_, static_cast<float>(1 / std::sqrt(static_cast<double>(head_)))};
    variant_ = usual;
    variant_.rotated = static_cast<int64_t>(t.count("rotated", static_cast<uint64_t>(head_)));
    if (variant_.rotated > head_ || variant_.rotated % 2 != 0) t.wrong("rotated", fmt::format("an even number up to {} is expected", head_));
    variant_.scale = static_cast<float>(t.number("scale", usual.scale));
    variant_.norm_after_rope = t.flag("norm_after_rope", false);
    variant_.clip = t.number("clip", 0);
    variant_.gate = t.text("gate", "none");
    if (variant_.gate != "none" && variant_.gate != "per_element" && variant_.gate != "in_query") t.wrong("gate", "none, per_element or in_query is expected");
    variant_.sinks = t.flag("sinks", false);
    variant_.chunk = t.count("chunk", 0);
    variant_.temperature_floor = t.number("temperature_floor", 0);
    variant_.temperature_scale = t.number("temperature_scale", 0);
    varied_ = variant_ != usual || qk_norm_ == "l2" || t.has("rope_frequencies");
  }

  at::Tensor normed(const at::Tensor& x, size_t weight, Pass& pass) const {
    if (qk_norm_ == "none") return x;
    if (qk_norm_ == "l2") return plain_rms_norm(x.view({-1, head_}), at::ones({head_}, x.options()), epsilon_).view(x.sizes());
    if (qk_norm_ == "whole") return rms_norm(x, arena_.value(weight), epsilon_, pass);
    return rms_norm(x.view({-1, head_}), arena_.value(weight), epsilon_, pass).view(x.sizes());
  }
  // Of queries.   [rows, 1]
  at::Tensor temperatures(const RowContext& rows) const {
    const at::Tensor turns = at::floor((at::arange(rows.length, at::kFloat) + 1) / variant_.temperature_floor);
    return (at::log1p(turns) * variant_.temperature_scale + 1).repeat({rows.rows / rows.length}).unsqueeze(1);
  }
  at::Tensor clipped(const at::Tensor& x) const { return variant_.clip > 0 ? at::clamp(x, -variant_.clip, variant_.clip) : x; }
  // Queries or keys with their norm and their positions.
  at::Tensor placed(const at::Tensor& x, size_t norm, int64_t length, Pass& pass) const {
    const at::Tensor turned = clipped(variant_.norm_after_rope ? x : normed(x, norm, pass));
    const at::Tensor out = variant_.rotated ? rope(turned, rope_, length, head_, pass) : turned;
    return variant_.norm_after_rope ? normed(out, norm, pass) : out;
  }

  Arena& arena_;
  int64_t d_, heads_, kv_heads_, head_, window_;
  double base_;
  RopeTable rope_;
  std::string qk_norm_;
  float epsilon_;
  Variant variant_{};
  bool varied_;
  Projection q_, k_, v_, out_, gate_;
  size_t q_norm_ = 0, k_norm_ = 0;
  size_t sinks_ = 0;
};

}  // namespace

PartInfo causal_attention_part() {
  return {"causal", "attention to what came before: heads, kv_heads, head, rope, window, qk_norm, bias, output_bias", "Vaswani et al. 2017; Ainslie et al. 2023 (GQA); Su et al. 2021 (RoPE)",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<CausalPart>(t, site); }};
}

}  // namespace moiety
