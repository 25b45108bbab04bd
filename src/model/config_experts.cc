#include "model/config_experts.h"

#include <algorithm>
#include <initializer_list>

#include "model/family.h"

namespace moiety {
namespace {

bool one_of(std::string_view name, std::initializer_list<std::string_view> list) { return std::ranges::count(list, name) > 0; }

uint32_t expert_count(const Keys& keys, uint32_t layer) {
  return keys.inside("ffn_config").count({"moe_num_experts"})
      .value_or(keys.count_or({"num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts"}, 0, layer));
}

RouterConfig read_router(const Keys& keys, const Family& family, uint32_t layer) {
  RouterConfig r;
  const Keys ffn = keys.inside("ffn_config");  // dbrx
  r.score = family.score;
  r.top_k = ffn.count({"moe_top_k"}).value_or(keys.count_or({"num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"}, 2, layer));
  r.choice_bias = family.choice_bias && keys.flag({"use_expert_bias", "use_routing_bias", "moe_router_enable_expert_bias"}, true);
  r.renorm = family.renorm;
  // Elsewhere the key may be in the file too, but the family has one rule.
  if (one_of(family.name, {"qwen2_moe", "qwen3_moe", "qwen3_next", "olmoe", "flex_olmo", "deepseek_v3", "glm4_moe", "dots1", "exaone_moe", "cohere2_moe",
                           "afmoe", "lfm2_moe", "bailing_hybrid"}))
    r.renorm = keys.flag({"norm_topk_prob", "route_norm", "moe_renormalize"}, family.renorm);
  r.renorm_epsilon = family.renorm_epsilon;
  if (family.name == "ernie4_5_moe") r.renorm_floor = keys.number({"moe_norm_min"}, 1e-12);
  r.scale = keys.number({"routed_scaling_factor", "route_scale"}, 1);
  if (one_of(family.name, {"deepseek_v2", "deepseek_v3", "glm4_moe", "dots1", "exaone_moe", "bailing_hybrid"})) {
    r.groups = std::max(1u, keys.count_or({"n_group", "num_expert_group"}, 1));
    r.top_groups = keys.count_or({"topk_group"}, 1);
  }
  r.group_rank = RouterConfig::GroupRank::sum2;
  r.jitter = keys.number({"router_jitter_noise"}, 0.01);
  if (family.name == "deepseek_v2") {
    r.group_rank = RouterConfig::GroupRank::max;
    const std::string method = keys.text({"topk_method"}, "greedy");
    if (method != "greedy" && method != "group_limited_greedy")
      throw Error("{}: topk_method '{}' is not known in family deepseek_v2; greedy and group_limited_greedy are", keys.origin(), method);
    if (method == "greedy") r.groups = 1;
  }
  if (family.name == "cohere2_moe") {
    const std::string score = keys.text({"expert_selection_fn"});
    if (score != "softmax" && score != "sigmoid")
      throw Error("{}: expert_selection_fn '{}' is not known; softmax and sigmoid are", keys.origin(), score);
    if (score == "softmax") r.score = RouterConfig::Score::chosen_softmax, r.renorm = false;
  }
  if (family.name == "afmoe" && keys.text({"score_func"}, "sigmoid") != "sigmoid")
    throw Error("{}: score_func '{}' is not known in family afmoe; sigmoid is", keys.origin(), keys.text({"score_func"}));
  if (family.name == "dbrx") {
    const std::optional<double> power = ffn.number({"moe_normalize_expert_weights"});
    if (power && !(*power > 0)) throw Error("{}: key moe_normalize_expert_weights: a power above 0 was expected, got {}", keys.origin(), *power);
    r.renorm = power.has_value();
    r.renorm_power = power.value_or(1);
  }
  if (r.groups <= 1) r.groups = r.top_groups = 1;
  return r;
}

}  // namespace

std::vector<bool> expert_layers(const Keys& keys, const Family& family, uint32_t layers) {
  std::vector<bool> out(layers, true);
  if (one_of(family.name, {"exaone_moe", "cohere2_moe", "bailing_hybrid"})) {
    if (const std::vector<std::string> types = keys.texts({"mlp_layer_types"}); !types.empty()) {
      if (types.size() < layers) throw Error("{}: mlp_layer_types has {} entries for {} layers", keys.origin(), types.size(), layers);
      for (size_t i = 0; i < layers; i++) out[i] = types[i] == "sparse";
      return out;
    }
  }
  if (family.name == "llama4_text") {
    if (const nlohmann::json* list = keys.find({"moe_layers"}); list && list->is_array()) {
      for (size_t i = 0; i < layers; i++) out[i] = std::ranges::count(*list, nlohmann::json(i)) > 0;
      return out;
    }
  }
  // The key moe_layer_freq is in files of DeepSeek's line, always 1; Transformers does not read it, and neither does this.
  const uint32_t dense_first = keys.count_or({"first_k_dense_replace", "num_dense_layers"}, 0);
  const uint32_t step = std::max(1u, keys.count_or({"decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval"}, 1));
  const uint32_t start = keys.count_or({"moe_layer_start_index"}, 0);
  const double end = keys.number({"moe_layer_end_index"}, -1);
  const std::vector<double> dense = keys.numbers({"mlp_only_layers"});
  const bool any = !one_of(family.name, {"qwen2_moe", "qwen3_moe", "qwen3_next"}) || expert_count(keys, 0) > 0;
  for (uint32_t i = 0; i < layers; i++)
    out[i] = any && i >= dense_first && (i + 1) % step == 0 && i >= start && (end < 0 || i <= end) && !std::ranges::count(dense, double(i));
  return out;
}

SiteConfig read_site(const Keys& keys, const Config& c, uint32_t layer) {
  const Family& family = *c.family;
  SiteConfig s;
  s.router = read_router(keys, family, layer);
  const uint32_t experts = expert_count(keys, layer), copies = keys.count_or({"zero_expert_num"}, 0);
  if (experts == 0) throw Error("{}: the number of experts is missing (num_experts, num_local_experts …)", keys.origin());
  if (uint64_t{experts} + copies > UINT32_MAX) throw Error("{}: {} and {} experts are more than there can be", keys.origin(), experts, copies);
  if (copies && keys.text({"zero_expert_type"}, "identity") != "identity")
    throw Error("{}: zero_expert_type '{}': only identity is known", keys.origin(), keys.text({"zero_expert_type"}));
  uint32_t width = keys.inside("ffn_config").count({"ffn_hidden_size"})
                       .value_or(keys.count_or({"moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size"}, 0, layer));
  if (family.name == "cohere2_moe" || family.name == "llama4_text" || family.name == "hunyuan_v1_moe")
    width = keys.required({"intermediate_size"}, layer);
  s.groups.push_back({&ffn_expert, experts, width});
  if (copies) s.groups.push_back({&copy_expert, copies, 0});
  const uint32_t shared =
      keys.count_or({"n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "num_shared_expert"}, 0, layer);
  uint32_t shared_width = keys.count_or({"shared_expert_intermediate_size", "shared_intermediate_size"}, shared * width);
  if (family.name == "bailing_hybrid" || family.name == "cohere2_moe") shared_width = shared * width;
  // Transformers always builds one shared expert here; lists of other lengths exist in configurations, not in checkpoints.
  if (family.name == "hunyuan_v1_moe") shared_width = std::max(1u, shared) * width;
  if (family.name == "llama4_text") shared_width = width;
  if (shared_width) s.shared.push_back({&ffn_expert, shared_width, family.name == "qwen2_moe" || family.name == "qwen3_next"});
  s.weight_on_input = family.name == "llama4_text";
  if (family.name == "cohere2_moe" && shared_width && keys.text({"shared_expert_combination_strategy"}, "average") == "average")
    s.output_scale = 0.5f;
  s.output_bias = family.name == "jetmoe";
  return s;
}

uint32_t dense_width(const Keys& keys, const Family& family) {
  if (family.name == "llama4_text") return keys.required({"intermediate_size_mlp"});
  if (family.name == "cohere2_moe") return keys.count_or({"prefix_dense_intermediate_size", "intermediate_size"}, 0);
  return keys.count_or({"intermediate_size", "ffn_hidden_size"}, 0);
}

}  // namespace moiety
