// kind = "latent": multi-head latent attention. Keys and values of all heads come out of one low-rank vector a position, which is all that a cache
// keeps when the model is used, beside one rotated key that the heads share. DeepSeek-AI 2024, "DeepSeek-V2", arXiv 2405.04434, section 2.1.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/sigmoid.h>

#include <cmath>

#include "learn/facts.h"
#include "learn/function_attention.h"
#include "learn/function_norm.h"
#include "learn/function_rope.h"
#include "learn/positions.h"
#include "learn/projection.h"

namespace moiety {
namespace {

constexpr float released_epsilon = 1e-6f;  // of the latent vectors' norms, in DeepSeek's and Transformers' classes

class LatentPart : public ModelPart {
 public:
  LatentPart(const Table& t, const PartSite& site) : arena_(site.arena), d_(site.d) {
    heads_ = t.size("heads");
    kv_rank_ = t.size("kv_rank");
    q_rank_ = t.has("q_rank") ? t.size("q_rank", 0) : 0;
    plain_ = t.size("head");
    rotated_ = t.size("rope_head", 2);
    value_ = t.size("value_head");
    if (head() > 1 << 16) t.wrong("head", fmt::format("with rope_head it is {}, more than 65536", head()));
    if (rotated_ % 2 != 0) t.wrong("rope_head", fmt::format("{} numbers can't be rotated in pairs", rotated_));
    base_ = t.number("rope", 10000);
    rope_ = read_positions(t, site.context, rotated_, base_);
    epsilon_ = static_cast<float>(t.number("latent_eps", released_epsilon));
    const double usual = 1 / std::sqrt(static_cast<double>(head()));
    scale_ = static_cast<float>(t.number("scale", usual));
    const bool bias = t.flag("bias", false);
    varied_ = t.has("rope_frequencies") || scale_ != static_cast<float>(usual) || bias;
    if (q_rank_) {
      q_a_ = Projection(site, "attn_q_a", q_rank_, d_, bias);
      q_a_norm_ = arena_.declare(site.prefix + "attn_q_a_norm.weight", {q_rank_}, {1, 0});
    }
    q_ = Projection(site, q_rank_ ? "attn_q_b" : "attn_q", heads_ * head(), q_rank_ ? q_rank_ : d_, false);
    kv_a_ = Projection(site, "attn_kv_a_mqa", kv_rank_ + rotated_, d_, bias);
    kv_a_norm_ = arena_.declare(site.prefix + "attn_kv_a_norm.weight", {kv_rank_}, {1, 0});
    k_b_ = arena_.declare(site.prefix + "attn_k_b.weight", {heads_, plain_, kv_rank_}, {0, site.deviation});
    v_b_ = arena_.declare(site.prefix + "attn_v_b.weight", {heads_, value_, kv_rank_}, {0, site.deviation});
    out_ = Projection(site, "attn_output", d_, heads_ * value_, bias);
    q_scale_ = t.number("q_latent_scale", 1), kv_scale_ = t.number("kv_latent_scale", 1);  // of queries; of the latent vector
    gated_ = t.flag("gate", false);  // a number for each head: its sigmoid times the head's output
    if (gated_) gate_ = Projection(site, "attn_gate", heads_, d_, false);
    varied_ |= gated_ || q_scale_ != 1 || kv_scale_ != 1;
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    Pass& pass = step.pass;
    const Projection& first = q_rank_ ? q_a_ : q_;
    const std::vector<at::Tensor> down = linears(x, {arena_.value(first.weight), arena_.value(kv_a_.weight)}, pass, pass.precision);
    at::Tensor q = biased(down[0], first, arena_, pass);
    if (q_rank_) q = project(normed(q, q_a_norm_, pass), q_, arena_, pass);
    if (q_scale_ != 1) q = q * q_scale_;
    q = rope(q, rope_, rows.length, head(), pass, plain_);
    const at::Tensor kv = biased(down[1], kv_a_, arena_, pass);
    at::Tensor latent = normed(kv.narrow(1, 0, kv_rank_), kv_a_norm_, pass);
    if (kv_scale_ != 1) latent = latent * kv_scale_;
    const at::Tensor shared_key = rope(kv.narrow(1, kv_rank_, rotated_), rope_, rows.length, rotated_, pass);
    const std::vector<at::Tensor> up = linears(latent, {by_rows(k_b_), by_rows(v_b_)}, pass, pass.precision);
    const at::Tensor keys = at::cat({up[0].view({rows.rows, heads_, plain_}), shared_key.unsqueeze(1).expand({rows.rows, heads_, rotated_})}, 2);
    const auto n = [](int64_t v) { return static_cast<size_t>(v); };
    const CausalShape shape{n(rows.rows / rows.length), n(rows.length), n(heads_), n(heads_), n(head()), n(value_), 0, scale_};
    at::Tensor mixed = attention(shape, q, keys.view({rows.rows, heads_ * head()}), up[1], pass);
    if (gated_) mixed = (mixed.view({-1, heads_, value_}) * at::sigmoid(project(x, gate_, arena_, pass)).unsqueeze(-1)).view({-1, heads_ * value_});
    return project(mixed, out_, arena_, pass);
  }

  PartFacts facts() const override {
    PartFacts out;
    out.latent = true;
    out.qk_norm = "none";
    out.config = {{"num_attention_heads", heads_}, {"num_key_value_heads", heads_}, {"kv_lora_rank", kv_rank_}, {"qk_nope_head_dim", plain_}, {"qk_rope_head_dim", rotated_},
                  {"v_head_dim", value_}, {"rope_theta", base_}, {"q_lora_rank", q_rank_ ? nlohmann::json(q_rank_) : nlohmann::json()}};
    if (epsilon_ != released_epsilon) out.beyond = "norms of latent vectors with another epsilon";
    if (varied_) out.unwritten = "rope_frequencies, scale, bias, gate, q_latent_scale or kv_latent_scale";
    out.own = {{"kind", "latent"}, {"heads", heads_}, {"kv_rank", kv_rank_}, {"q_rank", q_rank_}, {"head_size", plain_}, {"rope_head_size", rotated_},
               {"value_head_size", value_}, {"rope_theta", base_}, {"latent_norm_eps", epsilon_}};
    return out;
  }

  size_t active_parameters() const override {
    const int64_t queries = q_rank_ ? q_rank_ * (d_ + heads_ * head()) : heads_ * head() * d_;
    return static_cast<size_t>(queries + (kv_rank_ + rotated_) * d_ + heads_ * (plain_ + value_) * kv_rank_ + d_ * heads_ * value_);
  }

 private:
  int64_t head() const { return plain_ + rotated_; }
  at::Tensor by_rows(size_t weight) const { return arena_.value(weight).view({-1, kv_rank_}); }
  at::Tensor normed(const at::Tensor& x, size_t weight, Pass& pass) const { return rms_norm(x, arena_.value(weight), epsilon_, pass); }

  Arena& arena_;
  int64_t d_, heads_, kv_rank_, q_rank_, plain_, rotated_, value_;  // of a head: numbers that positions don't touch, that they turn, of its values
  double base_, q_scale_, kv_scale_;
  float scale_, epsilon_;
  RopeTable rope_;
  bool gated_, varied_;  // varied: has what only models have that a run starts from
  Projection q_a_;   // with q_rank
  size_t q_a_norm_ = 0;
  Projection q_, kv_a_, out_, gate_;
  size_t kv_a_norm_, k_b_, v_b_;
};

}  // namespace

PartInfo latent_attention_part() {
  return {"latent", "attention whose keys and values come out of one low-rank vector: heads, kv_rank, q_rank, head, rope_head, value_head, rope, latent_eps", "DeepSeek-AI 2024, DeepSeek-V2, arXiv 2405.04434",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<LatentPart>(t, site); }};
}

}  // namespace moiety
