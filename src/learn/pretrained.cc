#include "learn/pretrained.h"

#include <fmt/ranges.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "learn/balance.h"
#include "model/family.h"
#include "model/rope.h"

namespace moiety {
namespace {

// What of a model the parts can't compute, in words; empty: nothing.
std::vector<std::string> beyond_parts(const Config& c) {
  std::vector<std::string> out;
  const auto add = [&](bool has, const char* what) {
    if (has && !std::ranges::count(out, what)) out.emplace_back(what);
  };
  add(c.attention_softcap != 0 || c.final_softcap != 0, "capped logits");
  for (const BlockConfig& b : c.blocks) {
    const AttentionConfig a = c.attention_of(b);
    add(b.mixer == Mixer::attention && a.key_size != a.value_size, "heads whose values have another size");
    add(b.mixer != Mixer::attention && b.mask != Mask::causal, "windows or chunks of other mixers than plain attention");
    const bool delta = b.mixer == Mixer::gated_delta || b.mixer == Mixer::kimi_delta;
    add(delta && c.activation != Activation::silu, "delta nets with another activation than SiLU");
    add(b.ffn_width == 0 && !b.experts, "blocks without an FFN");
  }
  return out;
}

nlohmann::json causal_attention_of(const Config& c, const BlockConfig& b) {
  const AttentionConfig a = c.attention_of(b);
  const char* norm = !b.qk_norm || a.qk_norm == QkNorm::none ? "none" : a.qk_norm == QkNorm::whole ? "whole" : a.qk_norm == QkNorm::l2 ? "l2" : "per_head";
  nlohmann::json out = {{"heads", a.heads}, {"kv_heads", a.kv_heads}, {"head", a.key_size}, {"qk_norm", norm}, {"scale", a.scale}};
  out["rotated"] = b.rope < 0 ? 0 : c.ropes[static_cast<size_t>(b.rope)].size;
  if (c.qk_norm_after_rope) out["norm_after_rope"] = true;
  if (c.clip_qkv != 0) out["clip"] = c.clip_qkv;
  if (c.output_gate == OutputGate::per_element) out["gate"] = "per_element";
  if (c.output_gate == OutputGate::in_query) out["gate"] = "in_query";
  if (a.bias) out["bias"] = true;
  if (a.output_bias) out["output_bias"] = true;
  if (b.mask == Mask::window) out["window"] = b.window;
  if (b.mask == Mask::chunk) out["chunk"] = b.window;
  if (c.sinks) out["sinks"] = true;
  if (b.query_temperature) out["temperature_floor"] = c.temperature_floor, out["temperature_scale"] = c.temperature_scale;
  return out;
}

nlohmann::json latent_attention_of(const Config& c) {
  return {{"kind", "latent"}, {"heads", c.heads}, {"kv_rank", c.kv_rank}, {"q_rank", c.q_rank}, {"head", c.key_size - c.rope_key_size}, {"rope_head", c.rope_key_size},
          {"value_head", c.value_size}, {"scale", c.attention_scale}, {"latent_eps", c.latent_norm_epsilon}, {"bias", c.qkv_bias}, {"gate", c.output_gate == OutputGate::per_head},
          {"q_latent_scale", c.q_latent_scale}, {"kv_latent_scale", c.kv_latent_scale}};
}

nlohmann::json expert_attention_of(const Config& c) {
  const SiteConfig& s = *c.attention_experts;
  return {{"kind", "expert_attention"}, {"experts", s.ids()}, {"heads", c.kv_heads}, {"head", c.key_size}, {"scale", c.attention_scale}, {"output_bias", s.output_bias}, {"router_bias", c.router_bias},
          {"routing", s.routing.empty() ? routing_text(s.router) : s.routing}};
}

nlohmann::json delta_net_of(const Config& c, const BlockConfig& b) {
  const bool kimi = b.mixer == Mixer::kimi_delta;
  nlohmann::json out = {{"kind", "delta_net"}, {"key_heads", c.delta_key_heads}, {"value_heads", c.delta_value_heads}, {"key_size", c.delta_key_size}, {"value_size", c.delta_value_size},
          {"taps", c.conv_length}, {"by_channel", kimi}};
  if (kimi && c.kimi_safe_gate) out["lower_bound"] = c.kimi_lower_bound;
  return out;
}

nlohmann::json attention_of(const Config& c, const BlockConfig& b, uint32_t context) {
  if (b.mixer == Mixer::gated_delta || b.mixer == Mixer::kimi_delta) return delta_net_of(c, b);
  if (b.mixer == Mixer::short_convolution) return {{"kind", "short_convolution"}, {"taps", c.conv_length}, {"bias", c.conv_bias}};
  nlohmann::json out = b.mixer == Mixer::latent_attention ? latent_attention_of(c) : b.mixer == Mixer::expert_attention ? expert_attention_of(c) : causal_attention_of(c, b);
  if (b.rope < 0) return out;
  const Rope& rope = c.ropes[static_cast<size_t>(b.rope)];
  out["rope"] = rope.theta;
  if (rope.scaling != Rope::Scaling::none || rope.exponent_size) {
    const RopeFrequencies scaled = rope_frequencies(rope, rope_length_class(rope, context));
    out["rope_frequencies"] = scaled.inverse;
    out["rope_factor"] = scaled.factor;
  }
  return out;
}

void add_variant(nlohmann::json& out, const Config& c) {
  constexpr const char* names[] = {"silu", "gelu", "gelu_tanh", "gelu_quick", "relu", "relu_squared", "clamped"};  // as Activation counts
  if (c.activation != Activation::silu) out["activation"] = names[static_cast<size_t>(c.activation)];
  if (c.activation == Activation::clamped_swiglu) out["activation_limit"] = c.swiglu_limit, out["activation_alpha"] = c.swiglu_alpha;
}

nlohmann::json dense_of(const Config& c, const BlockConfig& b) {
  nlohmann::json out = {{"kind", "dense"}, {"width", b.ffn_width}, {"bias", c.ffn_bias}};
  add_variant(out, c);
  return out;
}

nlohmann::json moe_of(const Config& c, const BlockConfig& b, const std::string& balance) {
  const SiteConfig& s = *b.experts;
  nlohmann::json out = {{"kind", "moe"}, {"routing", s.routing.empty() ? routing_text(s.router) : s.routing}, {"balance", s.has_router ? balance : "none"}};
  for (const ExpertGroupConfig& g : s.groups) {
    out["experts"].push_back({{"kind", g.kind->config_name}, {"count", g.count}});
    if (g.kind->has_width()) out["experts"].back()["width"] = g.width;
  }
  for (const SharedConfig& shared : s.shared) out["shared"].push_back({{"kind", shared.kind->config_name}, {"width", shared.width}, {"gate", shared.gate}});
  add_variant(out, c);
  if (c.expert_bias) out["bias"] = true;
  if (c.ffn_bias && !s.shared.empty()) out["shared_bias"] = true;
  if (c.router_bias) out["router_bias"] = true;
  if (s.output_bias) out["output_bias"] = true;
  if (s.weight_on_input) out["weight_on_input"] = true;
  if (s.output_scale != 1) out["output_scale"] = s.output_scale;
  if (s.earlier_scores) out["gating_residual"] = true;
  if (s.route_table) out["hash_table"] = "random";  // whatever it is filled with: the file has its numbers
  return out;
}

}  // namespace

Pretrained Pretrained::open(const std::filesystem::path& path) {
  Pretrained out;
  out.file_ = std::make_shared<Checkpoint>(Checkpoint::open(path));
  if (out.file_->packed()) throw Error("{}: is packed in the kernels' order; train the model that it was made from", path.string());
  const Config& c = out.file_->config();
  const std::vector<std::string> beyond = beyond_parts(c);
  if (!beyond.empty())
    throw Error("{}: is of the family {}, and the trainer has no parts for {}; docs/training.md, \"Fine-tuning\", says what can be trained", path.string(), c.family->name, fmt::join(beyond, ", "));
  return out;
}

Description Pretrained::description(const Table& model) const {
  const Config& c = file_->config();
  const uint64_t context = model.count("context");
  if (context > c.context) model.wrong("context", fmt::format("{} was made for {} positions", path().string(), c.context));
  const std::string balance = model.text("balance", "none");
  balances(balance, model);  // its mistakes belong to the table where it stands
  bool routers = false;
  nlohmann::json blocks = nlohmann::json::array();
  for (const BlockConfig& b : c.blocks) {
    nlohmann::json block = {{"attention", attention_of(c, b, static_cast<uint32_t>(context))}};
    if (b.ffn_width) block["ffn"] = dense_of(c, b);
    if (b.experts) {
      nlohmann::json& moe = block[b.ffn_width ? "aside" : "ffn"] = moe_of(c, b, balance);
      if (b.ffn_width) moe["after"] = b.experts->add_after_blocks;
    }
    if (b.mixer == Mixer::expert_attention) block["attention"]["balance"] = balance;
    blocks.push_back(block);
    routers |= b.experts && b.experts->has_router;
  }
  if (!routers && balance != "none") model.wrong("balance", "there is no router to balance");
  // Numbers before training are the file's: none need be drawn.
  constexpr const char* placements[] = {"pre", "post", "sandwich", "parallel"};
  return Description::of({{"d", c.d_model}, {"context", context}, {"blocks", c.blocks.size()}, {"eps", c.norm_epsilon}, {"output_eps", c.output_norm_epsilon}, {"z_loss", model.number("z_loss", 0)},
                          {"norms", placements[static_cast<size_t>(c.placement)]}, {"layer_norm", c.norm == NormKind::layer}, {"norm_bias", c.norm_bias},
                          {"embedding_scale", c.embedding_scale}, {"residual_scale", c.residual_scale}, {"logit_scale", c.logit_scale}, {"head_bias", c.head_bias},
                          {"deviation", 0}, {"tied", c.tied_output}, {"block", blocks}}, path().string());
}

}  // namespace moiety
