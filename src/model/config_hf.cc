#include "model/config_hf.h"

#include <algorithm>
#include <cmath>

#include "model/config_check.h"
#include "model/config_defaults.h"
#include "model/config_experts.h"
#include "model/config_own.h"
#include "model/family.h"
#include "model/keys.h"
#include "model/rope_hf.h"

namespace moiety {
namespace {

Activation activation_of(const std::string& name, const std::string& origin) {
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu" || name == "gelu_python") return Activation::gelu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast" || name == "gelu_accurate") return Activation::gelu_tanh;
  if (name == "quick_gelu") return Activation::gelu_quick;
  if (name == "relu") return Activation::relu;
  if (name == "relu2") return Activation::relu_squared;
  throw Error("{}: activation '{}' is not known; silu, gelu, gelu_pytorch_tanh, quick_gelu, relu and relu2 are", origin, name);
}

void read_sizes(const Keys& keys, Config& c) {
  c.d_model = keys.required({"hidden_size", "d_model"});
  c.vocab = keys.required({"vocab_size"});
  c.context = keys.count_or({"max_position_embeddings", "max_seq_len", "model_max_length", "seq_length"}, 2048);
  // jetmoe counts query heads over its chosen experts; a token has kv_heads of them for each.
  c.heads = keys.required({c.family->name == "jetmoe" ? "num_key_value_heads" : "num_attention_heads", "n_heads"});
  c.kv_heads = keys.inside("attn_config").count({"kv_n_heads"}).value_or(keys.count_or({"num_key_value_heads"}, c.heads));
  if (c.heads == 0) throw Error("{}: key num_attention_heads is 0", keys.origin());
  c.key_size = keys.count_or({"head_dim", "kv_channels"}, c.d_model / c.heads);
  c.value_size = c.key_size;
  c.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.key_size)));
  c.norm_epsilon = static_cast<float>(keys.number({"rms_norm_eps", "layer_norm_eps", "norm_eps", "layer_norm_epsilon"}, 1e-6));
  c.tied_output = keys.flag({"tie_word_embeddings", "tie_embedding"}, false);
  std::string activation = keys.text({"hidden_act", "hidden_activation", "activation_function"}, "silu");
  if (c.family->name == "dbrx") activation = keys.inside("ffn_config").inside("ffn_act_fn").text({"name"}, "silu");
  if (c.family->name == "lfm2_moe") activation = "silu";  // whatever the file says
  c.activation = activation_of(activation, keys.origin());
}

// Files say -1, or an id past the vocabulary, where they mean none.
bool is_token(const nlohmann::json& id, const Config& c) {
  return id.is_number_unsigned() && id.get<uint64_t>() < c.vocab && id.get<uint64_t>() <= INT32_MAX;
}

void read_ids(const Keys& keys, const Keys& outer, const Keys& generation, Config& c) {
  for (const Keys* source : {&generation, &keys, &outer}) {
    if (const nlohmann::json* eos = source->find({"eos_token_id"})) {
      auto add = [&](const nlohmann::json& id) {
        if (is_token(id, c) && !std::ranges::count(c.end_ids, id.get<int32_t>())) c.end_ids.push_back(id.get<int32_t>());
      };
      if (eos->is_array()) std::ranges::for_each(*eos, add);
      else add(*eos);
    }
  }
  for (const Keys* source : {&outer, &keys})
    if (const nlohmann::json* bos = source->find({"bos_token_id"}); bos && is_token(*bos, c)) c.bos = bos->get<int32_t>();
}

// Latent attention (DeepSeek-V2, arXiv 2405.04434).
void read_latent(const Keys& keys, Config& c) {
  c.q_rank = keys.count_or({"q_lora_rank"}, 0);
  c.kv_rank = keys.required({"kv_lora_rank"});
  c.rope_key_size = keys.required({"qk_rope_head_dim"});
  c.key_size = keys.required({"qk_nope_head_dim"}) + c.rope_key_size;
  c.value_size = keys.required({"v_head_dim"});
  c.kv_heads = c.heads;
  double scale = 1 / std::sqrt(static_cast<double>(c.key_size));
  const Rope rope = read_rope(keys, *c.family, c.rope_key_size);
  const double all_dim = rope_parameters(keys, *c.family).number({"mscale_all_dim"}, 0);
  if (rope.scaling != Rope::Scaling::none && all_dim != 0 && rope.factor > 1) {
    const double mscale = 0.1 * all_dim * std::log(rope.factor) + 1;
    scale *= mscale * mscale;
  }
  c.attention_scale = static_cast<float>(scale);
}

// "sliding_attention", "full_attention", "chunked_attention", "linear_attention" or "conv" for each layer.
std::vector<std::string> layer_types(const Keys& keys, const Family& family, uint32_t layers) {
  const bool whole_model = family.name == "mistral" || family.name == "mixtral" || family.name == "phimoe" || family.name == "qwen3_moe";
  std::vector<std::string> types;
  if (whole_model) {  // one mask for all layers
    const bool use = family.name != "qwen3_moe" || keys.flag({"use_sliding_window"}, false);
    types.assign(layers, use && keys.count_or({"sliding_window"}, 0) > 0 ? "sliding_attention" : "full_attention");
    return types;
  }
  types = keys.texts({"layer_types"});
  if (!types.empty()) {
    if (types.size() < layers) throw Error("{}: layer_types has {} entries for {} layers", keys.origin(), types.size(), layers);
    return types;
  }
  types.assign(layers, "full_attention");
  auto every = [&](uint32_t period, const char* others) {
    for (uint32_t i = 0; i < layers; i++)
      if (period == 0 || (i + 1) % period != 0) types[i] = others;
  };
  const std::string_view name = family.name;
  const bool window = keys.count_or({"sliding_window"}, 0) > 0;
  if (name == "gemma3_text") {
    every(keys.count_or({"sliding_window_pattern", "_sliding_window_pattern"}, 6), "sliding_attention");
  } else if (name == "exaone_moe" && window) {
    const nlohmann::json* pattern = keys.find({"sliding_window_pattern"});
    if (pattern && pattern->is_string()) {
      const std::string letters = pattern->get<std::string>();
      for (uint32_t i = 0; i < layers && !letters.empty(); i++)
        if (letters[i % letters.size()] == 'L') types[i] = "sliding_attention";
    } else {
      every(keys.count_or({"sliding_window_pattern"}, 4), "sliding_attention");
    }
  } else if (name == "cohere2_moe") {
    const uint32_t prefix = keys.count_or({"first_k_dense_replace"}, 0);
    const uint32_t inside = std::max(1u, keys.count_or({"prefix_dense_sliding_window_pattern"}, 1));
    const uint32_t after = std::max(1u, keys.count_or({"sliding_window_pattern"}, 4));
    for (uint32_t i = 0; i < layers; i++)
      if (i < prefix ? (i + 1) % inside != 0 : (i - prefix + 1) % after != 0) types[i] = "sliding_attention";
  } else if (name == "afmoe") {
    every(keys.count_or({"global_attn_every_n_layers"}, 4), "sliding_attention");
  } else if (name == "gpt_oss") {
    for (uint32_t i = 0; i < layers; i += 2) types[i] = "sliding_attention";
  } else if (name == "qwen3_next") {
    every(keys.count_or({"full_attention_interval"}, 4), "linear_attention");
  } else if (name == "bailing_hybrid") {
    every(keys.count_or({"layer_group_size"}, 6), "linear_attention");
  } else if (name == "lfm2_moe") {
    const std::vector<double> full = keys.numbers({"full_attn_idxs"});
    if (full.empty()) throw Error("{}: layer_types (or full_attn_idxs) is missing", keys.origin());
    for (uint32_t i = 0; i < layers; i++)
      if (!std::ranges::count(full, double(i))) types[i] = "conv";
  } else if (name == "llama4_text") {
    const std::vector<double> rope = keys.numbers({"no_rope_layers"});  // 1: with rope, in spite of the name
    const uint32_t interval = std::max(1u, keys.count_or({"no_rope_layer_interval"}, 4));
    for (uint32_t i = 0; i < layers; i++)
      if (i < rope.size() ? rope[i] != 0 : (i + 1) % interval != 0) types[i] = "chunked_attention";
  } else if (name == "qwen2" || name == "qwen3" || name == "dots1") {
    if (keys.flag({"use_sliding_window"}, name == "dots1") && window)
      for (uint32_t i = keys.count_or({"max_window_layers"}, layers); i < layers; i++) types[i] = "sliding_attention";
  } else if (name == "qwen2_moe") {  // unlike qwen2: every other one of the first
    if (keys.flag({"use_sliding_window"}, false) && window)
      for (uint32_t i = 0; i < std::min(layers, keys.count_or({"max_window_layers"}, layers)); i += 2) types[i] = "sliding_attention";
  }
  return types;
}

void read_blocks(const Keys& keys, Config& c) {
  const Family& family = *c.family;
  const uint32_t layers = keys.required({"num_hidden_layers", "n_layers", "num_layers"});
  if (layers == 0 || layers > 4096) throw Error("{}: {} layers", keys.origin(), layers);
  const std::vector<std::string> types = layer_types(keys, family, layers);
  const bool latent = keys.find({"kv_lora_rank"}) != nullptr;
  const std::vector<bool> sparse = family.dense ? std::vector<bool>(layers, false) : expert_layers(keys, family, layers);
  const std::vector<double> rope_layers = keys.numbers({"no_rope_layers"});

  for (uint32_t i = 0; i < layers; i++) {
    BlockConfig b;
    b.layer = i;
    const std::string& type = types[i];
    const bool local = type == "sliding_attention", chunked = type == "chunked_attention";
    b.mixer = family.name == "jetmoe" ? Mixer::expert_attention
              : type == "conv"        ? Mixer::short_convolution
              : type == "linear_attention"
                  ? (family.name == "bailing_hybrid" ? Mixer::kimi_delta : Mixer::gated_delta)
              : latent ? Mixer::latent_attention
                       : Mixer::attention;
    if (local) {
      b.mask = Mask::window;
      b.window = keys.required({"sliding_window"});
    } else if (chunked) {
      b.mask = Mask::chunk;
      b.window = keys.count_or({"attention_chunk_size"}, 8192);
    }
    // Which layers rotate, and by which of the ropes.
    if (family.name == "gemma3_text") b.rope = local ? 1 : 0;
    if (family.name == "afmoe" && !local) b.rope = -1;
    if (family.name == "exaone_moe" && !local && keys.find({"sliding_window"})) b.rope = -1;
    if (family.name == "cohere2_moe" && !local && (sparse[i] || keys.count_or({"prefix_dense_sliding_window_pattern"}, 1) != 1))
      b.rope = -1;
    if (family.name == "llama4_text") {
      const uint32_t interval = std::max(1u, keys.count_or({"no_rope_layer_interval"}, 4));
      const bool rotates = i < rope_layers.size() ? rope_layers[i] != 0 : (i + 1) % interval != 0;
      if (!rotates) b.rope = -1;
      b.qk_norm = rotates;
      b.query_temperature = !rotates && keys.flag({"attn_temperature_tuning"}, true);
    }
    if (sparse[i]) b.experts = read_site(keys, c, i);
    else b.ffn_width = dense_width(keys, family);
    if (family.name != "longcat_flash") {
      c.blocks.push_back(b);
      continue;
    }
    // Two blocks: the mixture listens to the first one's FFN input and joins after the second.
    b.ffn_width = keys.required({"ffn_hidden_size"});
    b.experts->add_after_blocks = 1;
    c.blocks.push_back(b);
    b.part = 1;
    b.experts.reset();
    c.blocks.push_back(b);
  }
}

void read_biases(const Keys& keys, Config& c) {
  const std::string_view name = c.family->name;
  const bool never = name == "mistral" || name == "mixtral" || name == "minimax_m2" || name == "jetmoe" || name == "exaone_moe" ||
                     name == "lfm2_moe" || name == "dbrx";
  if (name == "qwen2") c.qkv_bias = true;
  else if (name == "qwen2_moe") c.qkv_bias = keys.flag({"qkv_bias"}, true);
  else if (!never) c.qkv_bias = keys.flag({name == "ernie4_5_moe" ? "use_bias" : "attention_bias"}, name == "gpt_oss");
  c.attention_output_bias = name == "qwen2" || name == "qwen2_moe" || name == "glm4_moe" ? false : c.qkv_bias;
  if (name == "llama" || name == "deepseek_v2") c.ffn_bias = keys.flag({"mlp_bias"}, false);
  if (name == "ernie4_5_moe") c.ffn_bias = keys.flag({"use_bias"}, false);
  c.expert_bias = name == "gpt_oss";
  c.router_bias = name == "gpt_oss" || (name == "longcat_flash" && keys.flag({"router_bias"}, false));
  c.norm_bias = name == "phimoe";
  c.head_bias = name == "phimoe" ? keys.flag({"lm_head_bias"}, false) : name == "ernie4_5_moe" && c.ffn_bias;
  c.conv_bias = keys.flag({"conv_bias"}, false);
}

}  // namespace

Config read_hf_config(const nlohmann::json& file, const nlohmann::json& generation, const std::string& origin) {
  const Keys outer(file, origin);
  const nlohmann::json* text = outer.find({"text_config", "language_config", "llm_config"});
  if (text && !text->is_object()) throw Error("{}: text_config is not an object", origin);
  const std::string type = Keys(text ? *text : file, origin).text({"model_type"}, outer.text({"model_type"}));
  Config c;
  c.family = find_family(type);
  if (!c.family)
    throw Error("{}: model_type '{}' is not a family that moiety knows; `moiety models --families` lists them", origin, type);
  const std::string_view name = c.family->name;
  const Keys keys(text ? *text : file, origin, config_defaults(*c.family));
  c.norm = c.family->norm;
  c.placement = c.family->placement;
  c.qk_norm = c.family->qk_norm;
  if (name == "moiety") {
    read_own_config(keys, c);
    read_ids(keys, outer, Keys(generation, origin), c);
    check_config(c, origin);
    return c;
  }
  read_sizes(keys, c);
  // Where the language model's part is silent, the whole's word on the head counts.
  if (text && !text->contains("tie_word_embeddings")) c.tied_output = outer.flag({"tie_word_embeddings", "tie_embedding"}, c.tied_output);
  read_biases(keys, c);
  read_ids(keys, outer, Keys(generation, origin), c);
  if (name == "dbrx") {
    c.norm_epsilon = 1e-5f;  // not in the file
    c.clip_qkv = static_cast<float>(keys.inside("attn_config").number({"clip_qkv"}, 0));
  }
  if (name == "cohere2_moe" && keys.find({"rms_norm_eps"})) c.norm = NormKind::rms;
  else if (name == "cohere2_moe") c.norm_epsilon = static_cast<float>(keys.number({"layer_norm_eps"}, 1e-5));
  c.output_norm_epsilon = c.norm_epsilon;
  if (name == "jetmoe") c.norm_epsilon = 1e-6f;  // the key holds for the last norm only
  if (name == "olmoe") c.clip_qkv = static_cast<float>(keys.number({"clip_qkv"}, 0));
  if (name == "glm4_moe" && keys.flag({"use_qk_norm"}, false)) c.qk_norm = QkNorm::per_head;
  if (name == "hunyuan_v1_moe") {
    c.qk_norm_after_rope = true;
    if (!keys.flag({"use_qk_norm"}, true)) c.qk_norm = QkNorm::none;
  }
  if (name == "minimax_m2" && !keys.flag({"use_qk_norm"}, true)) c.qk_norm = QkNorm::none;
  if (name == "llama4_text") {
    c.qk_norm = keys.flag({"use_qk_norm"}, true) ? QkNorm::l2 : QkNorm::none;
    c.qk_norm_after_rope = true;
    c.temperature_floor = static_cast<float>(keys.number({"floor_scale"}, 8192));
    c.temperature_scale = static_cast<float>(keys.number({"attn_scale"}, 0.1));
  }
  if (name == "gpt_oss") {
    c.activation = Activation::clamped_swiglu;
    c.sinks = true;
    c.swiglu_limit = static_cast<float>(keys.number({"swiglu_limit"}, 7));
    c.swiglu_alpha = static_cast<float>(keys.number({"swiglu_alpha"}, 1.702));
  }
  if (name == "gemma3_text") {
    if (keys.flag({"use_bidirectional_attention"}, false)) throw Error("{}: use_bidirectional_attention: only causal attention is computed", origin);
    c.attention_scale = static_cast<float>(1 / std::sqrt(keys.number({"query_pre_attn_scalar"}, c.key_size)));
    // The key attn_logit_softcapping is Gemma 2's; neither Transformers nor llama.cpp reads it here.
    c.final_softcap = static_cast<float>(keys.number({"final_logit_softcapping"}, 0));
  }
  if (name == "gemma3_text" || (name == "afmoe" && keys.flag({"mup_enabled"}, false)))
    c.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(c.d_model)));
  if (name == "granitemoe" || name == "granitemoeshared") {
    c.attention_scale = static_cast<float>(keys.number({"attention_multiplier"}, 1));
    c.embedding_scale = static_cast<float>(keys.number({"embedding_multiplier"}, 1));
    c.residual_scale = static_cast<float>(keys.number({"residual_multiplier"}, 1));
    c.logit_scale = static_cast<float>(1 / keys.number({"logits_scaling"}, 1));
  }
  if (name == "cohere2_moe") {
    c.logit_scale = static_cast<float>(keys.number({"logit_scale"}, 1));
  }
  if (name == "qwen3_next") c.output_gate = OutputGate::in_query;
  if (name == "afmoe") c.output_gate = OutputGate::per_element;
  if (name == "bailing_hybrid") c.output_gate = OutputGate::per_head;
  if (keys.find({"kv_lora_rank"})) read_latent(keys, c);
  if (name == "longcat_flash") {
    if (keys.flag({"mla_scale_q_lora"}, true) && c.q_rank)
      c.q_latent_scale = static_cast<float>(std::sqrt(double(c.d_model) / c.q_rank));
    if (keys.flag({"mla_scale_kv_lora"}, true)) c.kv_latent_scale = static_cast<float>(std::sqrt(double(c.d_model) / c.kv_rank));
  }
  if (name == "qwen3_next") {
    c.conv_length = keys.count_or({"linear_conv_kernel_dim"}, 4);
    c.delta_key_heads = keys.required({"linear_num_key_heads"});
    c.delta_value_heads = keys.required({"linear_num_value_heads"});
    c.delta_key_size = keys.required({"linear_key_head_dim"});
    c.delta_value_size = keys.required({"linear_value_head_dim"});
  }
  if (name == "bailing_hybrid") {
    if (keys.flag({"use_kda_lora"}, false) || !keys.flag({"no_kda_lora"}, true))
      throw Error("{}: low-rank projections of Kimi delta attention (use_kda_lora) are not known", origin);
    c.conv_length = keys.count_or({"linear_conv_kernel_dim", "short_conv_kernel_size"}, 4);
    c.delta_key_heads = c.delta_value_heads = keys.count_or({"linear_num_heads"}, c.heads);
    c.delta_key_size = c.delta_value_size = keys.count_or({"linear_head_dim", "head_dim"}, c.d_model / c.heads);
    c.kimi_safe_gate = keys.flag({"kda_safe_gate"}, true);
    c.kimi_lower_bound = static_cast<float>(keys.number({"kda_lower_bound"}, -5));
  }
  if (name == "lfm2_moe") c.conv_length = keys.count_or({"conv_L_cache"}, 3);
  c.ropes = read_ropes(keys, c);
  if (name == "jetmoe") {
    c.heads = c.kv_heads;  // of each chosen expert
    SiteConfig s = read_site(keys, c, 0);
    s.groups = {{&attention_expert, s.ids(), c.kv_heads * c.key_size}};
    c.attention_experts = s;
  }
  read_blocks(keys, c);
  check_config(c, origin);
  return c;
}

}  // namespace moiety
