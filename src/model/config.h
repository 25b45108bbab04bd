// What a model is, in one form for every family and both file formats. The forward pass reads this and nothing else.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "experts/bank.h"

namespace moiety {

struct Family;

enum class NormKind : uint8_t { rms, layer };               // layer: subtracts the mean, has a bias if the file does
enum class NormPlacement : uint8_t { pre, post, sandwich,  // sandwich: before and after each of mixer and FFN
                                     parallel };            // one norm feeds mixer and FFN, both are added at once
enum class QkNorm : uint8_t { none, per_head, whole, l2 };  // whole: over all heads together; l2: no weight
enum class Activation : uint8_t { silu, gelu, gelu_tanh, gelu_quick, relu, relu_squared, clamped_swiglu };
enum class Mixer : uint8_t { attention, latent_attention, expert_attention, short_convolution, gated_delta, kimi_delta };
enum class Mask : uint8_t { causal, window, chunk };
enum class OutputGate : uint8_t { none, in_query,  // the q projection gives query and gate, head by head
                                  per_element,     // a projection of its own, as wide as the heads' outputs
                                  per_head };

// Rotary position embedding. Formulas: model/rope.cc.
struct Rope {
  enum class Scaling : uint8_t { none, linear, dynamic, llama3, yarn, longrope, proportional };
  double theta = 10000;
  uint32_t size = 0;           // numbers of a head that rotate (the first ones; in latent attention the rope part)
  uint32_t exponent_size = 0;  // frequency i is theta^(-2i / this); 0: size. Others where a share of the head is odd.
  bool interleaved = false;  // pairs (2i, 2i+1) instead of (i, i + size/2): as the weights of this checkpoint lie
  Scaling scaling = Scaling::none;
  double factor = 1;
  uint32_t original_context = 0;         // llama3, yarn, longrope
  uint32_t trained_context = 0;          // dynamic: beyond this length theta grows
  double low_freq = 1, high_freq = 4;    // llama3
  double beta_fast = 32, beta_slow = 1;  // yarn
  bool truncate = true;                  // yarn: correction range rounded to whole dimensions
  double attention_factor = 1;           // multiplies cosines and sines; longrope: for short lengths
  double long_attention_factor = 1;      // longrope: above original_context
  double proportion = 1;             // proportional: the share of frequencies that is not zero
  std::vector<double> short_factors, long_factors;  // longrope; llama3 from GGUF comes as short_factors = long_factors
};

// How a site routes, as families differ in it; `routing_text` writes it as a pipeline.
struct RouterConfig {
  enum class Score : uint8_t { softmax, sigmoid,                    // over all experts, before the choice
                               chosen_softmax, chosen_sigmoid,      // of the chosen ones' logits
                               sparsemixer };
  enum class GroupRank : uint8_t { max, sum2 };  // groups ranked by their largest score, or the sum of their two largest
  Score score = Score::softmax;
  uint32_t top_k = 0;
  uint32_t groups = 1, top_groups = 1;
  GroupRank group_rank = GroupRank::max;
  bool choice_bias = false;     // a correction bias per expert, for the choice only
  bool renorm = false;          // chosen weights divided by their sum
  double renorm_epsilon = 0;    // added to that sum
  double renorm_floor = 0;      // that sum is at least this
  double renorm_power = 1;      // divided by the sum of the weights to this power, and its root
  double scale = 1;             // times the weights, at the end
  double jitter = 0;            // sparsemixer's epsilon
};

// Experts whose ids follow each other.
struct ExpertGroupConfig {
  const ExpertKind* kind = &ffn_expert;
  uint32_t count = 0;
  uint32_t width = 0;  // of an FFN, or of an attention expert's heads
};

// An FFN that every row uses; several shared experts of one kind are one that is as wide as they are together.
struct SharedConfig {
  const ExpertKind* kind = &ffn_expert;
  uint32_t width = 0;
  bool gate = false;  // its output times sigmoid(gate x)
};

// A place with a router and a bank of experts.
struct SiteConfig {
  RouterConfig router;
  std::string routing;                    // the pipeline, where the file says it as a text; empty: what `router` says
  bool has_router = true;                 // weights that score the experts
  uint32_t earlier_scores = 0;            // of the router before it, which times a matrix join its own (gating residuals); 0: none do
  bool scores_join_next = false;          // the next router takes this one's so
  bool route_table = false;               // an expert for each token, for the stage `hash`
  std::vector<ExpertGroupConfig> groups;  // ids go through them
  std::vector<SharedConfig> shared;
  bool weight_on_input = false;
  float output_scale = 1;      // times (experts + shared)
  bool output_bias = false;    // added to the combined output
  uint32_t add_after_blocks = 0;  // the output joins the residual this many blocks later

  uint32_t ids() const;
  uint32_t widest() const;  // width of the widest expert
};

// Heads of an attention.
struct AttentionConfig {
  uint32_t heads = 0, kv_heads = 0, key_size = 0, value_size = 0;  // sizes per head
  float scale = 0;
  QkNorm qk_norm = QkNorm::none;
  bool bias = false, output_bias = false;  // of queries, keys and values; of the output
};

// An entry of the layer schedule: one mixer and what follows it. Most decoder layers are one block, longcat's are two.
struct BlockConfig {
  uint32_t layer = 0;  // decoder layer, as the checkpoint counts
  uint32_t part = 0;   // which block of that layer
  Mixer mixer = Mixer::attention;
  Mask mask = Mask::causal;
  uint32_t window = 0;  // positions seen, the token's own among them; or the chunk's length
  int rope = 0;         // index into Config::ropes, -1: none
  bool qk_norm = true;  // where the attention's qk_norm says how
  std::optional<AttentionConfig> attention;  // of this block's own; otherwise the model's
  bool query_temperature = false;
  uint32_t ffn_width = 0;                    // dense FFN; 0: none
  std::optional<SiteConfig> experts;         // mixture of FFNs
};

struct Config {
  const Family* family = nullptr;
  uint32_t d_model = 0, vocab = 0, context = 0;  // context: trained length
  NormKind norm = NormKind::rms;
  float norm_epsilon = 1e-6f;
  float output_norm_epsilon = 1e-6f;  // of the norm before the output head
  NormPlacement placement = NormPlacement::pre;
  Activation activation = Activation::silu;
  float swiglu_limit = 7, swiglu_alpha = 1.702f;  // clamped_swiglu

  // attention
  uint32_t heads = 0, kv_heads = 0, key_size = 0, value_size = 0;  // sizes per head
  float attention_scale = 0;
  float attention_softcap = 0, final_softcap = 0;  // 0: none
  QkNorm qk_norm = QkNorm::none;
  bool qk_norm_after_rope = false;
  float clip_qkv = 0;  // 0: none
  bool sinks = false;  // a learned logit per head that joins the softmax denominator
  OutputGate output_gate = OutputGate::none;
  float temperature_floor = 0, temperature_scale = 0;  // q times log1p(floor((position + 1) / floor)) scale + 1
  std::vector<Rope> ropes;

  // latent attention
  uint32_t q_rank = 0, kv_rank = 0;  // q_rank 0: queries come straight from the input
  uint32_t rope_key_size = 0;        // key_size = plain part + this
  float q_latent_scale = 1, kv_latent_scale = 1;
  float latent_norm_epsilon = 1e-6f;

  // attention whose query and output projections are experts
  std::optional<SiteConfig> attention_experts;

  // recurrent mixers
  uint32_t conv_length = 0;                    // taps, the current position among them
  uint32_t delta_key_heads = 0, delta_value_heads = 0, delta_key_size = 0, delta_value_size = 0;
  bool kimi_safe_gate = true;
  float kimi_lower_bound = -5;

  float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
  bool tied_output = false;
  // Which optional tensors the checkpoint has.
  bool qkv_bias = false, attention_output_bias = false, ffn_bias = false, expert_bias = false, router_bias = false;
  bool norm_bias = false, head_bias = false, conv_bias = false;
  std::vector<BlockConfig> blocks;
  AttentionConfig attention_of(const BlockConfig& block) const {
    return block.attention.value_or(AttentionConfig{heads, kv_heads, key_size, value_size, attention_scale, qk_norm, qkv_bias, attention_output_bias});
  }

  int32_t bos = -1;
  std::vector<int32_t> end_ids;
};

inline uint32_t SiteConfig::ids() const {
  uint32_t sum = 0;
  for (const ExpertGroupConfig& g : groups) sum += g.count;
  return sum;
}
inline uint32_t SiteConfig::widest() const {
  uint32_t most = 0;
  for (const ExpertGroupConfig& g : groups) most = most > g.width ? most : g.width;
  return most;
}

// The pipeline of a site: "sigmoid | bias | groups(8, 4, rank=sum2) | top_k(8) | renorm | scale(2.5)".
std::string routing_text(const RouterConfig& router);
// The k of the first top_k in such a text; 0: there is none, or one too large to count.
uint32_t first_top_k(const std::string& routing);

}  // namespace moiety
