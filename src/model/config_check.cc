#include "model/config_check.h"

#include <cmath>

#include "base/error.h"
#include "model/rope.h"

namespace moiety {
namespace {

constexpr uint32_t max_width = 1u << 20, max_head = 65536, max_experts = 1u << 20, max_vocab = 1u << 24;

void check_range(const std::string& origin, const char* what, uint64_t value, uint64_t low, uint64_t high) {
  if (value < low || value > high) throw Error("{}: {} is {}; it must lie between {} and {}", origin, what, value, low, high);
}

// Not NaN either.
void check_number(const std::string& origin, const char* what, double value, double low, double high) {
  if (!(value >= low && value <= high)) throw Error("{}: {} is {}; it must lie between {} and {}", origin, what, value, low, high);
}

void check_numbers(const Config& c, const std::string& origin) {
  constexpr double most = 1e9;
  check_number(origin, "the norms' epsilon", c.norm_epsilon, 1e-20, 1);
  check_number(origin, "the latent norms' epsilon", c.latent_norm_epsilon, 1e-20, 1);
  check_number(origin, "the attention's scale", c.attention_scale, 0, most);
  check_number(origin, "the softcap of attention", c.attention_softcap, 0, most);
  check_number(origin, "the softcap of logits", c.final_softcap, 0, most);
  check_number(origin, "the clip of q, k and v", c.clip_qkv, 0, most);
  check_number(origin, "the limit of SwiGLU", c.swiglu_limit, 0, most);
  check_number(origin, "the alpha of SwiGLU", c.swiglu_alpha, -most, most);
  check_number(origin, "the scale of latent queries", c.q_latent_scale, -most, most);
  check_number(origin, "the scale of latent keys", c.kv_latent_scale, -most, most);
  check_number(origin, "the embeddings' scale", c.embedding_scale, -most, most);
  check_number(origin, "the residual scale", c.residual_scale, -most, most);
  check_number(origin, "the logits' scale", c.logit_scale, -most, most);
  check_number(origin, "the lower bound of the decay", c.kimi_lower_bound, -most, most);
  for (const BlockConfig& b : c.blocks)
    if (b.query_temperature) {
      check_number(origin, "floor_scale", c.temperature_floor, 1e-9, 1e12);
      check_number(origin, "attn_scale", c.temperature_scale, -most, most);
      return;
    }
}

// A rope is sane if every frequency that comes out of it is a number: that covers a factor, a length or a range of zero, and a
// theta that some formula takes the logarithm of.
void check_rope(const Rope& rope, const std::string& origin) {
  check_range(origin, "the number of rotating numbers of a head", rope.size, 0, max_head);
  if (rope.size % 2 != 0) throw Error("{}: {} rotating numbers, which are not pairs", origin, rope.size);
  check_number(origin, "rope theta", rope.theta, 1e-3, 1e30);
  check_number(origin, "the factor of the rope scaling", rope.factor, 1e-9, 1e9);
  check_number(origin, "the attention factor of the rope scaling", rope.attention_factor, 1e-9, 1e9);
  check_number(origin, "the long attention factor of the rope scaling", rope.long_attention_factor, 1e-9, 1e9);
  const bool by_length = rope.scaling == Rope::Scaling::dynamic || rope.scaling == Rope::Scaling::longrope;
  if (rope.scaling == Rope::Scaling::dynamic) check_range(origin, "the length that dynamic rope scaling starts from", rope.trained_context, 1, 1u << 30);
  for (uint32_t length_class : {0u, rope_length_class(rope, by_length ? 1u << 30 : 1)})
    for (float frequency : rope_frequencies(rope, length_class).inverse)
      if (!std::isfinite(frequency))
        throw Error("{}: the rope's frequencies are not finite numbers; look at rope_theta and rope_scaling (factor, lengths, betas, lists of factors)", origin);
}

void check_site(const SiteConfig& s, const std::string& origin, uint32_t layer) {
  const uint64_t ids = s.ids();
  check_range(origin, "the number of experts", ids, 1, max_experts);
  for (const ExpertGroupConfig& g : s.groups)
    if (g.kind->has_width()) check_range(origin, "the width of an expert", g.width, 1, max_width);
  for (const SharedConfig& shared : s.shared) check_range(origin, "the width of the shared expert", shared.width, 1, max_width);
  if (s.router.top_k < 1 || s.router.top_k > ids)
    throw Error("{}: layer {}: {} experts per token of {} experts", origin, layer, s.router.top_k, ids);
  check_number(origin, "the scale of routing weights", s.router.scale, -1e9, 1e9);
  check_number(origin, "the router's jitter", s.router.jitter, 0, 1e9);
  check_number(origin, "the scale of the experts' sum", s.output_scale, -1e9, 1e9);
  if (s.router.groups > 1) {
    if (ids % s.router.groups != 0) throw Error("{}: {} experts do not divide into {} groups", origin, ids, s.router.groups);
    check_range(origin, "the number of chosen groups", s.router.top_groups, 1, s.router.groups);
    // Ranked by their largest score alone (DeepSeek-V2), what is missing counts with weight 0 there and is not chosen here: the same sum.
    if (s.router.group_rank == RouterConfig::GroupRank::sum2 && uint64_t{s.router.top_groups} * (ids / s.router.groups) < s.router.top_k)
      throw Error("{}: {} groups of {} experts hold fewer than the {} that are chosen", origin, s.router.top_groups,
                  ids / s.router.groups, s.router.top_k);
  }
}

}  // namespace

void check_config(const Config& c, const std::string& origin) {
  check_range(origin, "the model's width", c.d_model, 1, max_width);
  check_range(origin, "the vocabulary", c.vocab, 1, max_vocab);
  check_range(origin, "the trained context", c.context, 1, 1u << 30);
  check_range(origin, "the number of heads", c.heads, 1, 65536);
  check_range(origin, "the number of key heads", c.kv_heads, 1, c.heads);
  check_range(origin, "the size of a head", c.key_size, 1, max_head);
  check_range(origin, "the size of a head's values", c.value_size, 1, max_head);
  check_range(origin, "the rank of latent queries", c.q_rank, 0, max_width);
  check_range(origin, "the rank of latent keys", c.kv_rank, 0, max_width);
  if (c.heads % c.kv_heads != 0) throw Error("{}: {} heads do not divide among {} key heads", origin, c.heads, c.kv_heads);
  if (c.rope_key_size > c.key_size) throw Error("{}: the rope part of a head is wider than the head", origin);
  check_numbers(c, origin);
  for (const Rope& rope : c.ropes) check_rope(rope, origin);
  for (const BlockConfig& b : c.blocks) {
    const bool recurrent = b.mixer == Mixer::short_convolution || b.mixer == Mixer::gated_delta || b.mixer == Mixer::kimi_delta;
    if (recurrent) check_range(origin, "the length of the convolution", c.conv_length, 1, 1024);
    if (b.mixer == Mixer::gated_delta || b.mixer == Mixer::kimi_delta) {
      check_range(origin, "the number of delta key heads", c.delta_key_heads, 1, 65536);
      check_range(origin, "the number of delta value heads", c.delta_value_heads, 1, 65536);
      check_range(origin, "the size of a delta key head", c.delta_key_size, 1, max_head);
      check_range(origin, "the size of a delta value head", c.delta_value_size, 1, max_head);
      if (c.delta_value_heads % c.delta_key_heads != 0)
        throw Error("{}: {} delta value heads do not divide among {} key heads", origin, c.delta_value_heads, c.delta_key_heads);
    }
    if (b.rope >= static_cast<int>(c.ropes.size())) throw Error("{}: layer {} wants a rope that is not there", origin, b.layer);
    const uint32_t rotating = b.rope < 0 ? 0 : c.ropes[static_cast<size_t>(b.rope)].size, head = c.attention_of(b).key_size;
    if (rotating > head) throw Error("{}: {} rotating numbers in a head of {}", origin, rotating, head);
    if (b.mask != Mask::causal) check_range(origin, "the attention window", b.window, 1, 1u << 30);
    if (b.ffn_width == 0 && !b.experts) throw Error("{}: layer {} has neither FFN nor experts", origin, b.layer);
    check_range(origin, "the width of the FFN", b.ffn_width, 0, max_width);
    if (b.experts) check_site(*b.experts, origin, b.layer);
  }
  if (c.attention_experts) check_site(*c.attention_experts, origin, 0);
}

}  // namespace moiety
