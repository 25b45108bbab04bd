// llama.cpp's keys for a model.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/config_gguf.h"
#include "model/family.h"

namespace moiety {
namespace {

class Writer {
 public:
  explicit Writer(const Config& c) : c_(c), family_(c.family->name) {
    arch_ = c.family->gguf ? c.family->gguf : "moiety-" + std::string(c.family->name);
  }

  Metadata write(const nlohmann::json& config_json, const std::string& name) {
    m_.set("general.architecture", arch_);
    m_.set("general.name", name);
    sizes();
    ropes();
    attention();
    experts();
    recurrent();
    m_.set("moiety.config", config_json.dump());
    return m_;
  }

 private:
  void count(const char* key, uint64_t value) { m_.set(arch_ + "." + key, static_cast<uint32_t>(value)); }
  void real(const char* key, double value) { m_.set(arch_ + "." + key, static_cast<float>(value)); }
  void flag(const char* key, bool value) { m_.set(arch_ + "." + key, value); }
  const BlockConfig* first_with_experts() const {
    const auto b = std::ranges::find_if(c_.blocks, [](const BlockConfig& x) { return x.experts.has_value(); });
    return b == c_.blocks.end() ? nullptr : &*b;
  }

  void sizes() {
    uint32_t dense = 0, layers = 0;
    for (const BlockConfig& b : c_.blocks) dense = std::max(dense, b.ffn_width), layers = std::max(layers, b.layer + 1);
    const BlockConfig* moe = first_with_experts();
    // Families whose experts are as wide as llama.cpp's one FFN length.
    const bool one_width = moe && (family_ == "mixtral" || family_ == "phimoe" || family_ == "granitemoe" || family_ == "granitemoeshared" ||
                                   family_ == "olmoe" || family_ == "dbrx" || family_ == "flex_olmo" || family_ == "minimax_m2");
    count("block_count", c_.family->name == "longcat_flash" ? c_.blocks.size() : layers);
    count("context_length", c_.context);
    count("embedding_length", c_.d_model);
    count("feed_forward_length", one_width || !dense ? moe->experts->widest() : dense);
    count("vocab_size", c_.vocab);
    if (c_.norm == NormKind::layer) real("attention.layer_norm_epsilon", c_.norm_epsilon);
    if (c_.norm == NormKind::rms || family_ == "phimoe") real("attention.layer_norm_rms_epsilon", c_.norm_epsilon);
    if (c_.final_softcap > 0) real("final_logit_softcapping", c_.final_softcap);
    if (c_.attention_softcap > 0) real("attn_logit_softcapping", c_.attention_softcap);
    if (family_ == "cohere2_moe") real("logit_scale", c_.logit_scale);
    if (family_.starts_with("granite")) {
      real("embedding_scale", c_.embedding_scale);
      real("residual_scale", c_.residual_scale);
      real("logit_scale", 1 / c_.logit_scale);
      real("attention.scale", c_.attention_scale);
    }
  }

  void ropes() {
    if (c_.ropes.empty()) return;
    const Rope& r = c_.ropes[0];
    count("rope.dimension_count", r.size);
    real("rope.freq_base", r.theta);
    if (c_.ropes.size() > 1) real("rope.freq_base_swa", c_.ropes[1].theta);
    using S = Rope::Scaling;
    if (r.scaling == S::linear) {
      m_.set(arch_ + ".rope.scaling.type", std::string("linear"));
      real("rope.scaling.factor", r.factor);
    } else if (r.scaling == S::yarn) {
      m_.set(arch_ + ".rope.scaling.type", std::string("yarn"));
      real("rope.scaling.factor", r.factor);
      count("rope.scaling.original_context_length", r.original_context);
      real("rope.scaling.yarn_beta_fast", r.beta_fast);
      real("rope.scaling.yarn_beta_slow", r.beta_slow);
      // llama.cpp multiplies yarn's own factor by this one; in latent attention it has the two cancel each other.
      const double own = r.factor > 1 ? 0.1 * std::log(r.factor) + 1 : 1;
      if (!c_.kv_rank && std::abs(r.attention_factor / own - 1) > 1e-6) real("rope.scaling.attn_factor", r.attention_factor / own);
      if (c_.kv_rank) {  // the softmax scale carries mscale_all_dim squared
        const double mscale = std::sqrt(c_.attention_scale * std::sqrt(static_cast<double>(c_.key_size)));
        real("rope.scaling.yarn_log_multiplier", (mscale - 1) / std::log(r.factor));
      }
    } else if (r.scaling == S::longrope) {
      m_.set(arch_ + ".rope.scaling.type", std::string("longrope"));
      count("rope.scaling.original_context_length", r.original_context);
      real("rope.scaling.attn_factor", r.attention_factor);
    }
  }

  void attention() {
    count("attention.head_count", c_.heads);
    std::vector<int64_t> kv;
    bool varies = false;
    for (const BlockConfig& b : c_.blocks) {
      const bool recurrent = b.mixer == Mixer::short_convolution || b.mixer == Mixer::gated_delta || b.mixer == Mixer::kimi_delta;
      varies |= recurrent;
      kv.push_back(recurrent ? 0 : c_.kv_rank ? 1 : c_.kv_heads);
    }
    if (varies && family_ != "qwen3_next") m_.set(arch_ + ".attention.head_count_kv", MetaArray{5, kv});
    else count("attention.head_count_kv", c_.kv_rank && c_.family->gguf ? 1 : c_.kv_heads);
    if (c_.kv_rank) {
      if (c_.q_rank) count("attention.q_lora_rank", c_.q_rank);
      count("attention.kv_lora_rank", c_.kv_rank);
      count("attention.key_length", c_.kv_rank + c_.rope_key_size);
      count("attention.value_length", c_.kv_rank);
      count("attention.key_length_mla", c_.key_size);
      count("attention.value_length_mla", c_.value_size);
    } else {
      count("attention.key_length", c_.key_size);
      count("attention.value_length", c_.value_size);
    }
    if (c_.clip_qkv > 0) real("attention.clamp_kqv", c_.clip_qkv);
    std::vector<bool> windowed;
    for (const BlockConfig& b : c_.blocks) {
      windowed.push_back(b.mask == Mask::window);
      if (b.mask == Mask::window) count("attention.sliding_window", b.window);
    }
    if (family_ == "cohere2_moe" || !assumed_windows(windowed)) m_.set(arch_ + ".attention.sliding_window_pattern", MetaArray{7, windowed});
  }

  // Whether llama.cpp assumes these windows where the file does not say: all but every n-th layer.
  bool assumed_windows(const std::vector<bool>& windowed) const {
    const size_t period = family_ == "gemma3_text" ? 6 : family_ == "gpt_oss" ? 2 : family_ == "exaone_moe" || family_ == "afmoe" ? 4 : 0;
    if (period == 0) return true;  // it knows no windows for this family
    for (size_t i = 0; i < windowed.size(); i++)
      if (windowed[i] != ((i + 1) % period != 0)) return false;
    return true;
  }

  void experts() {
    const BlockConfig* b = first_with_experts();
    if (!b) return;
    const SiteConfig& s = *b->experts;
    count("expert_count", family_ == "longcat_flash" ? s.groups[0].count : s.ids());
    count("expert_used_count", s.router.top_k);
    const uint32_t width = s.widest();
    count("expert_feed_forward_length", width);
    if (!s.shared.empty()) {
      const uint32_t shared = s.shared[0].width;
      count("expert_shared_feed_forward_length", shared);
      if (width && shared % width == 0) count("expert_shared_count", shared / width);
    }
    real("expert_weights_scale", s.router.scale);
    flag("expert_weights_norm", s.router.renorm);
    using Score = RouterConfig::Score;
    count("expert_gating_func", s.router.score == Score::sigmoid || s.router.score == Score::chosen_sigmoid ? 2 : 1);
    if (s.router.groups > 1) {
      count("expert_group_count", s.router.groups);
      count("expert_group_used_count", s.router.top_groups);
    }
    count("leading_dense_block_count", b->layer);
    if (family_ == "llama4_text") count("interleave_moe_layer_step", b->layer + 1);
    if (family_ == "ernie4_5_moe") count("interleave_moe_layer_step", 1);
    if (family_ == "llama4_text") count("attention.sliding_window", 8192);
  }

  void recurrent() {
    if (family_ == "lfm2_moe") count("shortconv.l_cache", c_.conv_length);
    if (family_ == "qwen3_next") {
      count("ssm.conv_kernel", c_.conv_length);
      count("ssm.inner_size", uint64_t{c_.delta_value_heads} * c_.delta_value_size);
      count("ssm.state_size", c_.delta_key_size);
      count("ssm.time_step_rank", c_.delta_value_heads);
      count("ssm.group_count", c_.delta_key_heads);
    }
    if (family_ == "bailing_hybrid") {
      count("ssm.conv_kernel", c_.conv_length);
      count("kda.head_dim", c_.delta_key_size);
      real("kda.gate_lower_bound", c_.kimi_lower_bound);
    }
  }

  const Config& c_;
  std::string_view family_;
  std::string arch_;
  Metadata m_;
};

}  // namespace

Metadata gguf_metadata(const Config& config, const nlohmann::json& config_json, const std::string& name) { return Writer(config).write(config_json, name); }

}  // namespace moiety
