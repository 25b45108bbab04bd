// Facts about llama.cpp's graphs, checked with the one in the test environment (tests/python/test_llama_cpp.py).
#include "model/gguf_limits.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "model/family.h"

namespace moiety {
namespace {

constexpr const char* activation_names[] = {"silu", "gelu", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "clamped swiglu"};

class Limits {
 public:
  explicit Limits(const Config& c) : c_(c), family_(c.family->name) {}

  std::vector<std::string> lines() {
    openings();
    masks();
    attention();
    ropes();
    activation();
    for (const BlockConfig& b : c_.blocks)
      if (b.experts) {
        routing(b.experts->router, b.experts->groups[0].count);
        break;  // a family has one rule for all layers
      }
    return lines_;
  }

 private:
  bool one_of(std::initializer_list<std::string_view> names) const { return std::ranges::count(names, family_) > 0; }
  void unless(bool same, std::string value, const char* instead) {
    if (!same) lines_.push_back(fmt::format("{}: llama.cpp has no key for it; there {}, so results differ", value, instead));
  }

  // What such a file lacks, or has too much, for llama.cpp to open it.
  void openings() {
    const auto closed = [&](bool lacks, std::string what) {
      if (lacks) lines_.push_back(fmt::format("{}: llama.cpp opens no such file", what));
    };
    const bool latent = one_of({"deepseek_v2", "deepseek_v3"});
    closed(latent && !c_.q_rank && c_.blocks.size() != 26 && c_.blocks.size() != 27, fmt::format("queries without a low rank (q_lora_rank) in {} layers", c_.blocks.size()));
    closed(latent && (c_.qkv_bias || c_.attention_output_bias), "biases of latent attention");
    closed(one_of({"dots1", "olmoe"}) && c_.kv_heads != c_.heads, "fewer heads of keys than of queries");
    closed(family_ == "lfm2_moe" && !std::ranges::all_of(c_.blocks, [](const BlockConfig& b) { return !b.experts || b.experts->router.choice_bias; }), "experts without a bias of their choice");
    const auto first = std::ranges::find_if(c_.blocks, [](const BlockConfig& b) { return b.experts.has_value(); });
    if (first == c_.blocks.end()) return;
    closed((latent || family_ == "glm4_moe") && first->experts->shared.empty(), "experts without a shared one");
    const bool dense_later = std::any_of(first, c_.blocks.end(), [](const BlockConfig& b) { return !b.experts; });
    closed(one_of({"qwen2_moe", "qwen3_moe"}) && (dense_later || first != c_.blocks.begin()), "dense layers among those with experts");
    closed(family_ == "ernie4_5_moe" && dense_later, "dense layers after the first with experts");
  }

  void masks() {
    const bool knows_windows = one_of({"gemma3_text", "gpt_oss", "exaone_moe", "afmoe", "cohere2_moe"});
    uint32_t window = 0, chunk = 0;
    for (const BlockConfig& b : c_.blocks) {
      if (b.mask == Mask::window) window = b.window;
      if (b.mask == Mask::chunk) chunk = b.window;
    }
    unless(window == 0 || knows_windows, fmt::format("sliding_window {}", window), "every token sees all before it");
    unless(chunk == 0 || chunk == 8192, fmt::format("attention_chunk_size {}", chunk), "it is 8192");
  }

  void attention() {
    unless(c_.clip_qkv == 0 || family_ == "dbrx", fmt::format("clip_qkv {}", c_.clip_qkv), "nothing is clipped");
    double scale = 1 / std::sqrt(static_cast<double>(c_.key_size));
    if (family_ == "gemma3_text" && !c_.blocks.empty() && c_.blocks.back().layer + 1 == 62) scale = std::sqrt(static_cast<double>(c_.heads) / c_.d_model);
    const bool has_key = family_.starts_with("granite") || c_.kv_rank;
    unless(has_key || std::abs(c_.attention_scale / scale - 1) < 1e-5, fmt::format("an attention scale of {:.6g}", c_.attention_scale), "it follows from the head's size");
    unless(!c_.kv_rank || c_.latent_norm_epsilon == c_.norm_epsilon, fmt::format("latent norms with epsilon {:.6g}", c_.latent_norm_epsilon), "it is rms_norm_eps");
    const bool tempered = std::ranges::any_of(c_.blocks, &BlockConfig::query_temperature);
    unless(!tempered || (c_.temperature_floor == 8192 && std::abs(c_.temperature_scale - 0.1f) < 1e-6f),
           fmt::format("floor_scale {} and attn_scale {}", c_.temperature_floor, c_.temperature_scale), "they are 8192 and 0.1");
  }

  void ropes() {
    for (const Rope& r : c_.ropes) {
      using S = Rope::Scaling;
      unless(r.scaling != S::dynamic, fmt::format("rope_type dynamic with factor {}", r.factor), "nothing is scaled");
      unless(r.scaling != S::yarn || r.truncate, "yarn's truncate false", "the range is rounded to whole dimensions");
      unless(r.exponent_size == 0 || r.exponent_size == r.size, fmt::format("a rotary share that gives {} numbers frequencies of {}", r.size, r.exponent_size),
             "they are those of whole pairs");
      unless(r.scaling != S::yarn || !c_.kv_rank || std::abs(r.attention_factor - 1) < 1e-6, fmt::format("yarn's mscale with a factor of {:.6g}", r.attention_factor),
             "the factor is 1");
    }
  }

  void activation() {
    const Activation usual = family_ == "gpt_oss" ? Activation::clamped_swiglu : family_ == "gemma3_text" ? Activation::gelu_tanh : Activation::silu;
    unless(c_.activation == usual, fmt::format("hidden_act {}", activation_names[static_cast<size_t>(c_.activation)]), "the family's own activation is used");
    unless(c_.activation != Activation::clamped_swiglu || c_.swiglu_limit == 7, fmt::format("swiglu_limit {}", c_.swiglu_limit), "it is 7");
    unless(c_.activation != Activation::clamped_swiglu || std::abs(c_.swiglu_alpha - 1.702f) < 1e-6f, fmt::format("swiglu_alpha {}", c_.swiglu_alpha), "it is 1.702");
  }

  void routing(const RouterConfig& r, uint32_t experts) {
    unless(r.score != RouterConfig::Score::sparsemixer, fmt::format("the sparsemixer of router_jitter_noise {}", r.jitter), "it is a softmax over the chosen");
    unless(r.groups <= 1 || r.group_rank == RouterConfig::GroupRank::sum2, "groups ranked by their best expert (group_limited_greedy)", "their two best count");
    unless(r.renorm_power == 1 || !r.renorm, fmt::format("moe_normalize_expert_weights {}", r.renorm_power), "it is 1");
    // Of all experts' shares of a softmax, the sum is one already.
    if (r.score != RouterConfig::Score::softmax || r.top_k >= experts) return;
    if (one_of({"qwen2_moe", "olmoe"})) unless(!r.renorm, "norm_topk_prob true", "weights are not renormalised");
    if (one_of({"mixtral", "qwen3_moe", "qwen3_next", "dbrx", "hunyuan_v1_moe", "ernie4_5_moe"})) unless(r.renorm, "norm_topk_prob false", "weights are renormalised");
  }

  const Config& c_;
  std::string_view family_;
  std::vector<std::string> lines_;
};

}  // namespace

std::vector<std::string> beyond_llama_cpp(const Config& config) {
  if (!config.family->gguf || config.family->name == "moiety") return {};  // llama.cpp does not read these at all
  return Limits(config).lines();
}

}  // namespace moiety
