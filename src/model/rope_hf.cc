#include "model/rope_hf.h"

#include <cmath>

#include "model/family.h"

namespace moiety {
namespace {

double yarn_mscale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

Rope read_one(const Keys& keys, const Keys& p, double theta, uint32_t head) {
  Rope r;
  r.theta = p.number({"rope_theta"}, theta);
  const double share = p.number({"partial_rotary_factor"}, keys.number({"partial_rotary_factor"}, 1));
  r.size = keys.count({"rotary_dim"}).value_or(static_cast<uint32_t>(head * share));
  r.trained_context = keys.count_or({"max_position_embeddings"}, 2048);
  r.original_context = p.count({"original_max_position_embeddings"})
                           .value_or(keys.count_or({"original_max_position_embeddings"}, r.trained_context));
  const std::string type = p.text({"rope_type", "type"}, "default");
  r.factor = p.number({"factor"}, 1);
  if (type == "default" || type == "mrope") {
    r.factor = 1;
  } else if (type == "linear") {
    r.scaling = Rope::Scaling::linear;
  } else if (type == "dynamic") {
    // Tencent's "dynamic" with alpha stretches theta once and for all.
    if (const double alpha = p.number({"alpha"}, 0); alpha != 0) {
      r.theta *= std::pow(alpha, static_cast<double>(r.size) / (r.size - 2.0));
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
    r.beta_fast = p.number({"beta_fast"}, 32);
    r.beta_slow = p.number({"beta_slow"}, 1);
    r.truncate = p.flag({"truncate"}, true);
    const double mscale = p.number({"mscale"}, 0), all_dim = p.number({"mscale_all_dim"}, 0);
    r.attention_factor = p.number({"attention_factor"})
                             .value_or(mscale != 0 && all_dim != 0 ? yarn_mscale(r.factor, mscale) / yarn_mscale(r.factor, all_dim)
                                                                   : yarn_mscale(r.factor, 1));
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
    throw Error("{}: rope_scaling of type '{}' is not known; default, linear, dynamic, llama3, yarn and longrope are",
                keys.origin(), type);
  }
  return r;
}

}  // namespace

Keys rope_parameters(const Keys& keys) {
  return keys.find({"rope_parameters"}) ? keys.inside("rope_parameters") : keys.inside("rope_scaling");
}

Rope read_rope(const Keys& keys, uint32_t head) {
  const double theta = keys.inside("attn_config").number({"rope_theta"}).value_or(keys.number({"rope_theta"}, 10000));
  return read_one(keys, rope_parameters(keys), theta, head);
}

std::vector<Rope> read_ropes(const Keys& keys, const Config& c) {
  std::vector<Rope> ropes;
  if (c.family->name == "gemma3_text") {
    const Keys p = rope_parameters(keys);
    if (p.find({"full_attention"})) {
      ropes.push_back(read_one(keys, p.inside("full_attention"), 1000000, c.key_size));
      ropes.push_back(read_one(keys, p.inside("sliding_attention"), 10000, c.key_size));
    } else {
      ropes.push_back(read_rope(keys, c.key_size));
      Rope local;
      local.theta = keys.number({"rope_local_base_freq"}, 10000);
      local.size = c.key_size;
      ropes.push_back(local);
    }
  } else {
    ropes.push_back(read_rope(keys, c.rope_key_size ? c.rope_key_size : c.key_size));
    if (c.rope_key_size) ropes.back().size = c.rope_key_size;
  }
  const bool interleaved = keys.flag({"rope_interleave"}, c.family->rope_interleaved);
  for (Rope& rope : ropes) rope.interleaved = interleaved;
  return ropes;
}

}  // namespace moiety
