#include "model/rope_hf.h"

#include <cmath>

#include "model/family.h"

namespace moiety {
namespace {

double yarn_mscale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

// How many numbers of a head rotate. Families without partial rotation rotate all of them, whatever the file says.
uint32_t rotating(const Keys& keys, const Keys& p, const Family& family, uint32_t head) {
  const bool partial = family.name == "glm4_moe" || family.name == "minimax_m2" || family.name == "qwen3_next";
  std::optional<double> share;
  if (partial) share = p.number({"partial_rotary_factor"});
  if (partial && !share) share = keys.number({"partial_rotary_factor"});
  if (share && !(*share >= 0 && *share <= 1)) throw Error("{}: key partial_rotary_factor is {}; it must lie between 0 and 1", keys.origin(), *share);
  if (share) return static_cast<uint32_t>(head * *share);
  if (const std::optional<uint32_t> size = keys.count({"rotary_dim"})) return *size;
  return family.name == "glm4_moe" ? head / 2 : family.name == "qwen3_next" ? head / 4 : head;
}

Rope read_one(const Keys& keys, const Keys& p, const Family& family, double theta, uint32_t head) {
  Rope r;
  for (const char* type : {"full_attention", "sliding_attention"})
    if (p.find({type})) throw Error("{}: rope parameters by layer type are not known in family {}", p.origin(), family.name);
  r.theta = p.number({"rope_theta"}, theta);
  r.exponent_size = rotating(keys, p, family, head);
  r.size = r.exponent_size + r.exponent_size % 2;  // an odd share of a head has half a pair more
  r.trained_context = keys.count_or({"max_position_embeddings", "max_seq_len", "model_max_length"}, 2048);
  r.original_context = keys.count({"original_max_position_embeddings"})
                           .value_or(p.count_or({"original_max_position_embeddings"}, r.trained_context));
  const std::string type = p.text({"rope_type", "type"}, "default");
  r.factor = p.number({"factor"}, 1);
  if (type == "default" || type == "mrope") {
    r.factor = 1;
  } else if (type == "linear") {
    r.scaling = Rope::Scaling::linear;
  } else if (type == "dynamic") {
    // Tencent's "dynamic" with alpha stretches theta once and for all.
    if (const double alpha = p.number({"alpha"}, 0); alpha != 0) {
      r.theta *= std::pow(alpha, static_cast<double>(r.exponent_size) / (r.exponent_size - 2.0));
      r.factor = 1;
    } else {
      r.scaling = Rope::Scaling::dynamic;
    }
  } else if (type == "llama3") {
    r.scaling = Rope::Scaling::llama3;
    r.low_freq = p.number({"low_freq_factor"}, 1);
    r.high_freq = p.number({"high_freq_factor"}, 4);
    r.short_factors = p.numbers({"divisors"});  // as GGUF files give them
  } else if (type == "yarn") {
    r.scaling = Rope::Scaling::yarn;
    if (!p.number({"factor"})) r.factor = static_cast<double>(r.trained_context) / r.original_context;
    if (const double fast = p.number({"beta_fast"}, 32); fast != 0) r.beta_fast = fast;
    if (const double slow = p.number({"beta_slow"}, 1); slow != 0) r.beta_slow = slow;
    r.truncate = p.flag({"truncate"}, true);
    const double mscale = p.number({"mscale"}, 0), all_dim = p.number({"mscale_all_dim"}, 0);
    r.attention_factor = p.number({"attention_factor"})
                             .value_or(mscale != 0 && all_dim != 0 ? yarn_mscale(r.factor, mscale) / yarn_mscale(r.factor, all_dim)
                                                                   : yarn_mscale(r.factor, 1));
  } else if (type == "proportional") {
    r.scaling = Rope::Scaling::proportional;
    r.proportion = p.number({"partial_rotary_factor"}, keys.number({"partial_rotary_factor"}, 1));
  } else if (type == "longrope" || type == "su") {
    r.scaling = Rope::Scaling::longrope;
    r.short_factors = p.numbers({"short_factor"});
    r.long_factors = p.numbers({"long_factor"});
    if (!p.number({"factor"})) r.factor = static_cast<double>(r.trained_context) / r.original_context;
    const double derived =
        r.factor <= 1 ? 1 : std::sqrt(1 + std::log(r.factor) / std::log(static_cast<double>(r.original_context)));
    const double given = p.number({"attention_factor"}, derived);
    r.attention_factor = p.number({"short_mscale"}, given);
    r.long_attention_factor = p.number({"long_mscale"}, given);
    if (r.short_factors.size() != r.size / 2 || r.long_factors.size() != r.size / 2)
      throw Error("{}: short_factor and long_factor need {} numbers each, they have {} and {}", keys.origin(), r.size / 2,
                  r.short_factors.size(), r.long_factors.size());
  } else {
    throw Error("{}: rope_scaling of type '{}' is not known; default, linear, dynamic, llama3, yarn, longrope and proportional are",
                keys.origin(), type);
  }
  return r;
}

// gpt_oss scales even where the file says nothing of it.
const nlohmann::json& yarn_of_gpt_oss() {
  static const nlohmann::json yarn = {{"rope_type", "yarn"}, {"factor", 32.0}, {"beta_fast", 32.0}, {"beta_slow", 1.0},
                                      {"truncate", false}, {"original_max_position_embeddings", 4096}};
  return yarn;
}

}  // namespace

Keys rope_parameters(const Keys& keys, const Family& family) {
  for (const char* name : {"rope_scaling", "rope_parameters"})
    if (const nlohmann::json* given = keys.find({name}); given && !given->empty()) return keys.inside(name);
  return family.name == "gpt_oss" ? Keys(yarn_of_gpt_oss(), keys.origin()) : keys.inside("rope_scaling");
}

Rope read_rope(const Keys& keys, const Family& family, uint32_t head) {
  const double theta = keys.inside("attn_config").number({"rope_theta"}).value_or(keys.number({"rope_theta"}, 10000));
  return read_one(keys, rope_parameters(keys, family), family, theta, head);
}

// Layers with and without a window rotate differently. Old files name two thetas, and scale those without a window alone.
std::vector<Rope> read_gemma_ropes(const Keys& keys, const Config& c) {
  const Keys p = keys.inside("rope_parameters"), scaling = keys.inside("rope_scaling");
  const double full = keys.number({"rope_theta"}, 1000000), local = keys.number({"rope_local_base_freq"}, 10000);
  const bool scaled = scaling.text({"rope_type", "type"}) != "";
  return {read_one(keys, scaled ? scaling : p.inside("full_attention"), *c.family, p.inside("full_attention").number({"rope_theta"}, full), c.key_size),
          read_one(keys, p.inside("sliding_attention"), *c.family, local, c.key_size)};
}

std::vector<Rope> read_ropes(const Keys& keys, const Config& c) {
  std::vector<Rope> ropes;
  if (c.family->name == "gemma3_text") ropes = read_gemma_ropes(keys, c);
  else ropes.push_back(read_rope(keys, *c.family, c.rope_key_size ? c.rope_key_size : c.key_size));
  const bool interleaved = keys.flag({"rope_interleave"}, c.family->rope_interleaved);
  for (Rope& rope : ropes) rope.interleaved = interleaved;
  return ropes;
}

}  // namespace moiety
