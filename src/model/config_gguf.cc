#include "model/config_gguf.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "model/config_hf.h"
#include "model/family.h"

namespace moiety {
namespace {

using nlohmann::json;

// llama.cpp's key after the architecture, and its name in config.json.
struct KeyName {
  const char *gguf, *hf;
};
constexpr KeyName counts[] = {
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.key_length", "head_dim"},
    {"attention.sliding_window", "sliding_window"},
    {"attention.q_lora_rank", "q_lora_rank"},
    {"attention.kv_lora_rank", "kv_lora_rank"},
    {"expert_count", "num_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
    {"expert_shared_count", "num_shared_experts"},
    {"expert_shared_feed_forward_length", "shared_expert_intermediate_size"},
    {"expert_group_count", "n_group"},
    {"expert_group_used_count", "topk_group"},
    {"leading_dense_block_count", "first_k_dense_replace"},
    {"interleave_moe_layer_step", "interleave_moe_layer_step"},
    {"shortconv.l_cache", "conv_L_cache"},
    {"full_attention_interval", "full_attention_interval"},
};
constexpr KeyName numbers[] = {
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.layer_norm_epsilon", "layer_norm_eps"},
    {"rope.freq_base", "rope_theta"},
    {"expert_weights_scale", "routed_scaling_factor"},
    {"attn_logit_softcapping", "attn_logit_softcapping"},
    {"final_logit_softcapping", "final_logit_softcapping"},
    {"attention.clamp_kqv", "clip_qkv"},
};

class Translator {
 public:
  explicit Translator(const GgufFile& file) : file_(file), m_(file.metadata()) {
    arch_ = m_.string("general.architecture").value_or("");
    if (arch_.empty()) throw Error("{}: has no general.architecture; it holds no model", file.path().string());
  }

  json translate() {
    j_["model_type"] = family();
    for (const KeyName& key : counts) copy_integer(key);
    for (const KeyName& key : numbers)
      if (auto value = m_.number(at(key.gguf))) j_[key.hf] = *value;
    if (auto flag = m_.boolean(at("expert_weights_norm"))) j_["norm_topk_prob"] = *flag;
    layers();
    vocabulary();
    rope();
    presence();
    windows();
    family_keys();
    experts();
    silence();
    ids();
    return j_;
  }

 private:
  std::string at(const std::string& key) const { return arch_ + "." + key; }
  bool has(const std::string& tensor) const { return file_.find(tensor) != nullptr; }
  static std::string block(int64_t i) { return "blk." + std::to_string(i) + "."; }
  // Counts and sizes: what no model has is refused here, before anything is computed from it.
  std::optional<int64_t> count(const std::string& key) const {
    const auto value = m_.integer(at(key));
    if (value && (*value < 0 || *value >= int64_t{1} << 31)) throw Error("{}: key {} is {}, which is no count", file_.path().string(), at(key), *value);
    return value;
  }
  int64_t need(const char* key) const {
    if (auto value = count(key)) return *value;
    throw Error("{}: key {} is missing", file_.path().string(), at(key));
  }
  int64_t translated(const char* name) const {
    if (j_.contains(name) && j_[name].is_number_integer()) return j_[name].get<int64_t>();
    throw Error("{}: the key of {} is missing", file_.path().string(), name);
  }

  std::string family() const {
    const bool sigmoid = m_.integer(at("expert_gating_func")).value_or(1) == 2;
    if (arch_ == "llama") return m_.integer("llama.expert_count").value_or(0) > 0 ? "mixtral" : "llama";
    if (arch_ == "granitemoe") return m_.integer(at("expert_shared_feed_forward_length")).value_or(0) > 0 ? "granitemoeshared" : "granitemoe";
    if (arch_ == "deepseek2") return sigmoid ? "deepseek_v3" : "deepseek_v2";
    const Family* found = find_gguf_family(arch_);
    if (!found) throw Error("{}: architecture '{}' is not a family that moiety knows; `moiety models --families` lists them", file_.path().string(), arch_);
    return std::string(found->name);
  }

  void copy_integer(const KeyName& key) {
    const MetaValue* value = m_.find(at(key.gguf));
    if (!value) return;
    if (std::holds_alternative<MetaArray>(*value)) {
      // Layer by layer; recurrent layers say 0. Families here have one value for the others.
      const std::vector<int64_t> list = *m_.integers(at(key.gguf));
      if (!list.empty()) j_[key.hf] = *std::ranges::max_element(list);
    } else if (*m_.integer(at(key.gguf)) >= 0) {
      j_[key.hf] = *m_.integer(at(key.gguf));
    }
  }

  void layers() {
    layers_ = need("block_count") - count("nextn_predict_layers").value_or(0);
    if (layers_ < 1 || layers_ > 4096) throw Error("{}: {} layers", file_.path().string(), layers_);
    j_["num_hidden_layers"] = layers_;
  }

  void vocabulary() {
    const Tensor* embedding = file_.find("token_embd.weight");
    if (!embedding || embedding->shape.size() != 2) throw Error("{}: tensor token_embd.weight is missing", file_.path().string());
    j_["vocab_size"] = embedding->shape[0];
    j_["tie_word_embeddings"] = !has("output.weight");
  }

  void rope() {
    const std::string type = m_.string(at("rope.scaling.type")).value_or("none");
    const double factor = m_.number(at("rope.scaling.factor")).value_or(1);
    json s;
    if (const Tensor* freqs = file_.find("rope_freqs.weight")) {  // Llama 3.1: each frequency's divisor, ready made
      s = {{"rope_type", "llama3"}, {"factor", 1.0}, {"divisors", floats(*freqs)}};
    } else if (const Tensor* longer = file_.find("rope_factors_long.weight")) {
      const Tensor* shorter = file_.find("rope_factors_short.weight");
      if (!shorter) throw Error("{}: tensor rope_factors_short.weight is missing", file_.path().string());
      s = {{"rope_type", "longrope"}, {"long_factor", floats(*longer)}, {"short_factor", floats(*shorter)}};
    } else if (type == "linear" && factor != 1) {
      s = {{"rope_type", "linear"}, {"factor", factor}};
    } else if (type == "yarn") {
      s = {{"rope_type", "yarn"}, {"factor", factor}};
      if (auto log = m_.number(at("rope.scaling.yarn_log_multiplier")); log && *log != 0) s["mscale"] = s["mscale_all_dim"] = *log * 10;
      if (auto fast = m_.number(at("rope.scaling.yarn_beta_fast"))) s["beta_fast"] = *fast;
      if (auto slow = m_.number(at("rope.scaling.yarn_beta_slow"))) s["beta_slow"] = *slow;
      if (arch_ == "gpt-oss") s["truncate"] = false;
    }
    if (auto original = m_.integer(at("rope.scaling.original_context_length")); original && !s.is_null())
      s["original_max_position_embeddings"] = *original;
    if (auto attention = m_.number(at("rope.scaling.attn_factor")); attention && !s.is_null()) {
      // llama.cpp multiplies yarn's own factor by it.
      const bool yarn = s["rope_type"] == "yarn" && factor > 1;
      s["attention_factor"] = *attention * (yarn ? 0.1 * std::log(factor) + 1 : 1.0);
    }
    if (s.is_null()) s = {{"rope_type", "default"}};  // a family may scale by itself where nothing is said
    j_["rope_scaling"] = s;
    const auto rotating = count("rope.dimension_count");
    if (!rotating) return;
    if (m_.find(at("attention.kv_lora_rank"))) j_["qk_rope_head_dim"] = *rotating;
    else j_["rotary_dim"] = *rotating;
  }

  std::vector<float> floats(const Tensor& tensor) const {
    if (tensor.type != TensorType::f32) throw Error("{}: tensor {} is not F32", file_.path().string(), tensor.name);
    const auto* data = reinterpret_cast<const float*>(tensor.bytes.data());
    return {data, data + tensor.count()};
  }

  // What llama.cpp tells by tensors that are there or not.
  void presence() {
    const std::string first = block(first_attention());
    bool attention_bias = false;
    for (const char* name : {"attn_q.bias", "attn_qkv.bias", "attn_q_a.bias", "attn_kv_a_mqa.bias"}) attention_bias |= has(first + name);
    j_["attention_bias"] = j_["qkv_bias"] = attention_bias;
    const bool ffn_bias = has("blk.0.ffn_gate.bias") || has("blk.0.ffn_up.bias");
    j_["mlp_bias"] = ffn_bias;
    j_["use_bias"] = attention_bias || ffn_bias;
    j_["lm_head_bias"] = has("output.bias");
    bool conv_bias = false, choice_bias = false;
    for (int64_t i = 0; i < layers_; i++) {
      conv_bias |= has(block(i) + "shortconv.in_proj.bias");
      choice_bias |= has(block(i) + "exp_probs_b.bias");
    }
    j_["conv_bias"] = conv_bias, j_["use_expert_bias"] = choice_bias;
    if (has(first + "attn_q_norm.weight")) j_["use_qk_norm"] = true;
    else if (arch_ == "glm4moe" || arch_ == "hunyuan-moe" || arch_ == "minimax-m2") j_["use_qk_norm"] = false;
  }

  int64_t first_attention() const {
    for (const char* name : {"attn_q.weight", "attn_kv_a_mqa.weight", "attn_qkv.weight"})
      for (int64_t i = 0; i < layers_; i++)
        if (has(block(i) + name) && !has(block(i) + "ssm_a")) return i;
    return 0;
  }

  // Which layers have a window: a period, or a flag for each layer. Where llama.cpp knows no window for a family, its key means nothing.
  void windows() {
    const std::string key = at("attention.sliding_window_pattern");
    const bool windowed = arch_ == "gemma3" || arch_ == "gpt-oss" || arch_ == "cohere2moe" || arch_ == "exaone-moe" || arch_ == "afmoe";
    if (!windowed) j_["sliding_window"] = nullptr;
    if (!windowed || !m_.find(key)) return;
    const std::vector<int64_t> pattern = *m_.integers(key);
    const bool by_layer = std::holds_alternative<MetaArray>(*m_.find(key));
    if (pattern.empty() || (by_layer && pattern.size() < static_cast<size_t>(layers_)))
      throw Error("{}: key {} has {} entries for {} layers", file_.path().string(), key, pattern.size(), layers_);
    json types = json::array();
    for (int64_t i = 0; i < layers_; i++) {
      const int64_t period = std::max<int64_t>(pattern[0], 1);
      const bool local = by_layer ? pattern[static_cast<size_t>(i)] != 0 : arch_ == "cohere2moe" ? i % period != 0 : (i + 1) % period != 0;
      types.push_back(local ? "sliding_attention" : "full_attention");
    }
    j_["layer_types"] = types;
  }

  bool sparse(int64_t layer) const { return has(block(layer) + "ffn_gate_inp.weight"); }

  // Rows of a matrix of the first layer that has it; of one expert, where it is a stack.
  std::optional<uint64_t> rows_of(const char* name) const {
    for (int64_t i = 0; i < layers_; i++)
      if (const Tensor* tensor = file_.find(block(i) + name); tensor && tensor->shape.size() >= 2) return tensor->shape[tensor->shape.size() - 2];
    return {};
  }

  // Widths and places of experts are those of the tensors: not every file has all keys.
  void experts() {
    if (j_.value("num_experts", int64_t{0}) == 0) return;
    const std::string model = j_["model_type"];
    if (!j_.contains("moe_intermediate_size"))
      for (const char* name : {"ffn_gate_exps.weight", "ffn_gate.0.weight"})
        if (const auto width = rows_of(name)) j_["moe_intermediate_size"] = *width;
    const uint64_t shared = rows_of("ffn_gate_shexp.weight").value_or(0), width = j_.value("moe_intermediate_size", uint64_t{0});
    if (model == "qwen2_moe" || model == "qwen3_next") j_["shared_expert_intermediate_size"] = shared;
    else if (model == "granitemoeshared") j_["shared_intermediate_size"] = shared;
    else if (width) j_["n_shared_experts"] = j_["num_shared_experts"] = j_["moe_num_shared_experts"] = shared / width;
    json dense = json::array(), with = json::array(), kinds = json::array();
    for (int64_t i = 0; i < layers_; i++) {
      (sparse(i) ? with : dense).push_back(i);
      kinds.push_back(sparse(i) ? "sparse" : "dense");
    }
    if (model == "qwen2_moe" || model == "qwen3_moe" || model == "qwen3_next") j_["mlp_only_layers"] = dense;
    if (model == "llama4_text") j_["moe_layers"] = with;
    if (model == "exaone_moe" || model == "cohere2_moe" || model == "bailing_hybrid") j_["mlp_layer_types"] = kinds;
    if (model == "ernie4_5_moe" && !with.empty()) j_["moe_layer_start_index"] = with.front(), j_["moe_layer_end_index"] = with.back();
    if (!j_.contains("norm_topk_prob"))
      j_["norm_topk_prob"] = model == "qwen3_moe" || model == "glm4_moe" || model == "qwen3_next" || model == "lfm2_moe";
  }

  // What a key that is not there means to llama.cpp, where it means something else in config.json.
  void silence() {
    const std::string model = j_["model_type"];
    const json otherwise = {{"rope_theta", 10000},  {"head_dim", nullptr},          {"num_key_value_heads", nullptr}, {"q_lora_rank", nullptr},
                            {"n_group", 1},         {"topk_group", 1},              {"first_k_dense_replace", 0},     {"num_dense_layers", 0},
                            {"n_shared_experts", 0}, {"num_shared_experts", 0},     {"moe_num_shared_experts", 0},    {"routed_scaling_factor", 1}};
    for (const auto& [key, value] : otherwise.items())
      if (!j_.contains(key)) j_[key] = value;
    if (j_["routed_scaling_factor"] == 0) j_["routed_scaling_factor"] = 1;
    j_["route_scale"] = j_["routed_scaling_factor"];
    if (model.starts_with("granite") && !j_.contains("attention_multiplier"))
      j_["attention_multiplier"] = 1 / std::sqrt(m_.number(at("attention.key_length")).value_or(double(j_["hidden_size"]) / double(j_["num_attention_heads"])));
  }

  void family_keys() {
    const std::string model = j_["model_type"];
    if (auto scale = m_.number(at("attention.scale")); scale && model.starts_with("granite")) j_["attention_multiplier"] = *scale;
    if (auto scale = m_.number(at("embedding_scale"))) j_["embedding_multiplier"] = *scale;
    if (auto scale = m_.number(at("residual_scale"))) j_["residual_multiplier"] = *scale;
    if (auto scale = m_.number(at("logit_scale"))) j_[model == "cohere2_moe" ? "logit_scale" : "logits_scaling"] = *scale;
    if (model.starts_with("deepseek")) {
      const int64_t full = count("attention.key_length_mla").value_or(need("attention.key_length"));
      j_["qk_nope_head_dim"] = full - j_.value("qk_rope_head_dim", int64_t{64});
      j_["v_head_dim"] = count("attention.value_length_mla").value_or(need("attention.value_length"));
      j_["num_key_value_heads"] = j_["num_attention_heads"];
      j_["n_routed_experts"] = j_.value("num_experts", 0);
      if (j_.value("q_lora_rank", 0) == 0) j_["q_lora_rank"] = nullptr;
      j_["topk_method"] = j_.value("n_group", 1) > 1 ? "group_limited_greedy" : "greedy";
      j_.erase("head_dim");
    }
    if (model == "gemma3_text") {
      j_["hidden_activation"] = "gelu_pytorch_tanh";
      j_["rope_local_base_freq"] = m_.number(at("rope.freq_base_swa")).value_or(10000);
      if (layers_ == 62) j_["query_pre_attn_scalar"] = translated("hidden_size") / std::max<int64_t>(1, translated("num_attention_heads"));
      else j_["query_pre_attn_scalar"] = j_["head_dim"];
    }
    if (model == "gpt_oss") {
      j_["attention_bias"] = true;
      j_["intermediate_size"] = j_["moe_intermediate_size"];
    }
    if (model == "llama4_text") {
      j_["intermediate_size_mlp"] = j_["intermediate_size"];
      j_["intermediate_size"] = j_["moe_intermediate_size"];
      j_["use_qk_norm"] = j_.value("num_experts", 0) != 128;
    }
    if (model == "hunyuan_v1_moe") {
      j_["intermediate_size"] = j_["moe_intermediate_size"];
      j_["num_shared_expert"] = 1;
    }
    if (model == "dbrx") {
      j_["attn_config"] = {{"kv_n_heads", j_["num_key_value_heads"]}, {"clip_qkv", j_.value("clip_qkv", 0.0)}};
      j_["ffn_config"] = {{"moe_num_experts", j_["num_experts"]}, {"moe_top_k", j_["num_experts_per_tok"]},
                          {"ffn_hidden_size", j_["intermediate_size"]}, {"moe_normalize_expert_weights", 1.0}};
    }
    if (model == "cohere2_moe") {
      j_["expert_selection_fn"] = m_.integer(at("expert_gating_func")).value_or(2) == 2 ? "sigmoid" : "softmax";
      j_["prefix_dense_intermediate_size"] = j_["intermediate_size"];
      j_["intermediate_size"] = j_["moe_intermediate_size"];
    }
    if (model == "ernie4_5_moe") {
      j_["moe_layer_interval"] = j_.value("interleave_moe_layer_step", 1);
      j_.erase("interleave_moe_layer_step");
      j_.erase("first_k_dense_replace");
    }
    if (model == "afmoe") j_["mup_enabled"] = true;
    if (model == "lfm2_moe") {
      json full = json::array();
      for (int64_t i = 0; i < layers_; i++)
        if (has(block(i) + "attn_q.weight")) full.push_back(i);
      j_["full_attn_idxs"] = full;
    }
    if (model == "lfm2_moe" || model == "afmoe") j_["num_dense_layers"] = j_.value("first_k_dense_replace", 0);
    if (model == "qwen3_next") {
      j_["linear_conv_kernel_dim"] = need("ssm.conv_kernel");
      j_["linear_num_key_heads"] = need("ssm.group_count");
      j_["linear_num_value_heads"] = need("ssm.time_step_rank");
      j_["linear_key_head_dim"] = need("ssm.state_size");
      j_["linear_value_head_dim"] = need("ssm.inner_size") / std::max<int64_t>(1, need("ssm.time_step_rank"));
      json types = json::array();
      for (int64_t i = 0; i < layers_; i++) types.push_back(has(block(i) + "ssm_a") ? "linear_attention" : "full_attention");
      j_["layer_types"] = types;
    }
    if (model == "bailing_hybrid") {
      j_["short_conv_kernel_size"] = need("ssm.conv_kernel");
      j_["linear_num_heads"] = j_["num_attention_heads"];
      j_["linear_head_dim"] = count("kda.head_dim").value_or(128);
      j_["qk_nope_head_dim"] = count("attention.key_length_mla").value_or(192) - j_.value("qk_rope_head_dim", int64_t{64});
      j_["v_head_dim"] = count("attention.value_length_mla").value_or(128);
      j_["kda_lower_bound"] = m_.number(at("kda.gate_lower_bound")).value_or(-5);
      json types = json::array();
      for (int64_t i = 0; i < layers_; i++)
        types.push_back(has(block(i) + "attn_kv_a_mqa.weight") ? "full_attention" : "linear_attention");
      j_["layer_types"] = types;
      j_.erase("head_dim");
      j_.erase("shared_expert_intermediate_size");
    }
  }

  void ids() {
    std::vector<int64_t> ends;
    for (const char* key : {"eos_token_id", "eot_token_id", "eom_token_id"})
      if (auto id = m_.integer(std::string("tokenizer.ggml.") + key); id && !std::ranges::count(ends, *id)) ends.push_back(*id);
    if (!ends.empty()) j_["eos_token_id"] = ends;
    if (auto id = m_.integer("tokenizer.ggml.bos_token_id")) j_["bos_token_id"] = *id;
  }

  const GgufFile& file_;
  const Metadata& m_;
  std::string arch_;
  int64_t layers_ = 0;
  json j_ = json::object();
};

}  // namespace

// Whether output.weight is the embedding once more, which some architectures want in the file. Whoever quantises it anew may give it a type of its own:
// then it is a head. Numbers are compared at a few places, as a file of gigabytes would take long to read.
bool repeats_embedding(const GgufFile& file) {
  const Tensor *head = file.find("output.weight"), *embedding = file.find("token_embd.weight");
  if (!head || !embedding) return true;
  if (head->type != embedding->type || head->bytes.size() != embedding->bytes.size()) return false;
  constexpr size_t places = 64, length = 4096;
  const size_t step = std::max<size_t>(1, head->bytes.size() / places);
  for (size_t at = 0; at < head->bytes.size(); at += step)
    if (const size_t n = std::min(length, head->bytes.size() - at); std::memcmp(head->bytes.data() + at, embedding->bytes.data() + at, n) != 0) return false;
  return true;
}

nlohmann::json config_json_of(const GgufFile& file) {
  const auto own = file.metadata().string("moiety.config");
  if (!own) {
    try {
      return Translator(file).translate();
    } catch (const json::exception& e) {  // a list where a number belongs, say
      throw Error("{}: a key of its metadata is of another kind than the family's: {}", file.path().string(), e.what());
    }
  }
  json out = parse_json(*own, file.path().string() + ": key moiety.config");
  if (out.is_object() && !repeats_embedding(file)) out["tie_word_embeddings"] = false;
  return out;
}

Config read_gguf_config(const GgufFile& file) {
  Config c = read_hf_config(config_json_of(file), json::object(), file.path().string());
  for (Rope& rope : c.ropes) rope.interleaved = c.family->gguf_interleaved;
  return c;
}

}  // namespace moiety
