#include "model/config_export.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "base/error.h"
#include "model/family.h"

namespace moiety {
namespace {

using nlohmann::json;

struct ClassName {
  std::string_view family;
  const char* name;
};
constexpr ClassName classes[] = {
    {"llama", "LlamaForCausalLM"},
    {"mistral", "MistralForCausalLM"},
    {"qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "Qwen3ForCausalLM"},
    {"gemma3_text", "Gemma3ForCausalLM"},
    {"olmo2", "Olmo2ForCausalLM"},
    {"mixtral", "MixtralForCausalLM"},
    {"qwen2_moe", "Qwen2MoeForCausalLM"},
    {"qwen3_moe", "Qwen3MoeForCausalLM"},
    {"olmoe", "OlmoeForCausalLM"},
    {"flex_olmo", "FlexOlmoForCausalLM"},
    {"deepseek_v2", "DeepseekV2ForCausalLM"},
    {"deepseek_v3", "DeepseekV3ForCausalLM"},
    {"phimoe", "PhimoeForCausalLM"},
    {"granitemoe", "GraniteMoeForCausalLM"},
    {"granitemoeshared", "GraniteMoeSharedForCausalLM"},
    {"gpt_oss", "GptOssForCausalLM"},
    {"ernie4_5_moe", "Ernie4_5_MoeForCausalLM"},
    {"glm4_moe", "Glm4MoeForCausalLM"},
    {"hunyuan_v1_moe", "HunYuanMoEV1ForCausalLM"},
    {"dots1", "Dots1ForCausalLM"},
    {"minimax_m2", "MiniMaxM2ForCausalLM"},
    {"llama4_text", "Llama4ForCausalLM"},
    {"longcat_flash", "LongcatFlashForCausalLM"},
    {"dbrx", "DbrxForCausalLM"},
    {"jetmoe", "JetMoeForCausalLM"},
    {"exaone_moe", "ExaoneMoeForCausalLM"},
    {"cohere2_moe", "Cohere2MoeForCausalLM"},
    {"afmoe", "AfmoeForCausalLM"},
    {"lfm2_moe", "Lfm2MoeForCausalLM"},
    {"qwen3_next", "Qwen3NextForCausalLM"},
    {"bailing_hybrid", "BailingHybridForCausalLM"},
};

// A value under the name that a family's class reads, where it has another.
struct Spelling {
  std::string_view families;  // between spaces
  const char *from, *to;
};
constexpr Spelling spellings[] = {
    {" mixtral phimoe granitemoe granitemoeshared gpt_oss minimax_m2 llama4_text jetmoe ", "num_experts", "num_local_experts"},
    {" deepseek_v2 deepseek_v3 glm4_moe dots1 longcat_flash ", "num_experts", "n_routed_experts"},
    {" deepseek_v2 deepseek_v3 glm4_moe dots1 ", "num_shared_experts", "n_shared_experts"},
    {" ernie4_5_moe ", "num_experts", "moe_num_experts"},
    {" ernie4_5_moe ", "num_experts_per_tok", "moe_k"},
    {" ernie4_5_moe ", "num_shared_experts", "moe_num_shared_experts"},
    {" hunyuan_v1_moe ", "num_experts_per_tok", "moe_topk"},
    {" granitemoeshared ", "shared_expert_intermediate_size", "shared_intermediate_size"},
    {" afmoe ", "routed_scaling_factor", "route_scale"},
    {" afmoe ", "norm_topk_prob", "route_norm"},
    {" afmoe ", "first_k_dense_replace", "num_dense_layers"},
    {" dbrx ", "hidden_size", "d_model"},
    {" dbrx ", "num_attention_heads", "n_heads"},
    {" dbrx ", "num_hidden_layers", "n_layers"},
    {" dbrx ", "max_position_embeddings", "max_seq_len"},
    {" lfm2_moe ", "rms_norm_eps", "norm_eps"},
};

// Numbers that came as float32 in the fewest digits that name them: 1e-05, not 9.999999747378752e-06.
void shorten(json& value) {
  if (value.is_structured()) {
    for (json& inner : value) shorten(inner);
  } else if (value.is_number_float()) {
    const double number = value.get<double>();
    const auto single = static_cast<float>(number);
    if (static_cast<double>(single) != number || !std::isfinite(number)) return;
    const std::string text = fmt::format("{}", single);
    double shorter = number;
    std::from_chars(text.data(), text.data() + text.size(), shorter);
    value = shorter;
  }
}

// Llama 3.1's scaling, of which a GGUF file keeps each frequency's divisor only: the constants that give these divisors.
// divisor = 1 for waves shorter than context / high, `factor` for those longer than context / low, and between them
// 1 / ((1 - s) / factor + s) with s = (context / wave - low) / (high - low).
void solve_llama3(json& scaling, const Rope& rope) {
  constexpr double low = 1, high = 4;
  const std::vector<double>& divisors = rope.short_factors;  // where a GGUF file's stand
  const double factor = *std::ranges::max_element(divisors);
  const auto wave = [&](size_t i) { return 2 * std::numbers::pi * std::pow(rope.theta, 2.0 * static_cast<double>(i) / rope.size); };
  std::vector<double> contexts = {8192};  // Llama's own first; any that gives the same divisors will do
  for (size_t i = 0; i < divisors.size(); i++)
    if (divisors[i] > 1.001 && divisors[i] < factor * 0.999) {
      const double s = (1 / divisors[i] - 1 / factor) / (1 - 1 / factor);
      contexts.push_back(std::round(wave(i) * (low + s * (high - low))));
    }
  for (int power = 4; power <= 20; power++) contexts.push_back(std::ldexp(1.0, power));
  const auto fits = [&](double context) {
    for (size_t i = 0; i < divisors.size(); i++) {
      const double s = std::clamp((context / wave(i) - low) / (high - low), 0.0, 1.0);
      if (!(std::abs(1 / ((1 - s) / factor + s) / divisors[i] - 1) < 1e-3)) return false;
    }
    return true;
  };
  const auto context = std::ranges::find_if(contexts, fits);
  if (context == contexts.end()) return;  // other constants: the divisors stay
  scaling = {{"rope_type", "llama3"}, {"factor", factor}, {"low_freq_factor", low}, {"high_freq_factor", high},
             {"original_max_position_embeddings", static_cast<uint64_t>(*context)}};
}

// What a class asks for and llama.cpp's keys do not say in so many words.
void add_family_keys(json& j, const Config& c) {
  const std::string_view family = c.family->name;
  const auto add = [&](const char* key, json value) {
    if (!j.contains(key)) j[key] = std::move(value);
  };
  if (family == "glm4_moe" || family == "dots1" || family == "deepseek_v3") add("n_group", 1), add("topk_group", 1);
  if (family == "dbrx") {
    if (!j["attn_config"].contains("rope_theta") && !c.ropes.empty()) j["attn_config"]["rope_theta"] = c.ropes[0].theta;
    if (!j["ffn_config"].contains("hidden_size")) j["ffn_config"]["hidden_size"] = c.d_model;
    if (!j["ffn_config"].contains("ffn_act_fn")) j["ffn_config"]["ffn_act_fn"] = {{"name", "silu"}};
  }
  if (family == "lfm2_moe") {
    json types = json::array();
    for (const BlockConfig& b : c.blocks) types.push_back(b.mixer == Mixer::short_convolution ? "conv" : "full_attention");
    add("layer_types", types);
    add("conv_bias", c.conv_bias);
    add("use_expert_bias", true);
  }
}

const char* torch_name(TensorType type) {
  return type == TensorType::f16 ? "float16" : type == TensorType::f32 ? "float32" : "bfloat16";
}

}  // namespace

json exported_config(json j, const Config& c, TensorType weights) {
  j.erase("quantization_config");
  json& level = j.contains("text_config") && j["text_config"].is_object() ? j["text_config"] : j;
  if (&level != &j) level.erase("quantization_config");
  const auto* known = std::ranges::find(classes, c.family->name, &ClassName::family);
  if (!j.contains("architectures") && known != std::end(classes)) j["architectures"] = {known->name};
  for (json* at : {&j, &level}) {
    if (at->contains("dtype")) (*at)["dtype"] = torch_name(weights);
    if (at == &j || at->contains("torch_dtype")) (*at)["torch_dtype"] = torch_name(weights);
  }
  for (const Spelling& s : spellings) {
    const bool named = s.families.find(" " + std::string(c.family->name) + " ") != s.families.npos;
    if (named && level.contains(s.from) && !level.contains(s.to)) level[s.to] = level[s.from];
  }
  if (level.contains("head_dim") && level["head_dim"].is_null()) level.erase("head_dim");  // absent, classes derive it
  if (level.contains("rotary_dim") && !level.contains("partial_rotary_factor") && c.key_size > 0 && level["rotary_dim"] != c.key_size && !c.kv_rank)
    level["partial_rotary_factor"] = level["rotary_dim"].get<double>() / c.key_size;
  if (level.contains("rope_scaling") && level["rope_scaling"].is_object() && level["rope_scaling"].contains("divisors") && !c.ropes.empty())
    solve_llama3(level["rope_scaling"], c.ropes[0]);
  add_family_keys(level, c);
  shorten(j);
  return j;
}

}  // namespace moiety
