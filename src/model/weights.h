// A model in memory: its configuration and views of its weights. Big matrices stay in the mapped file wherever the file's layout
// allows; small vectors are float32 copies.
#pragma once
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "experts/bank.h"
#include "kernels/matrix.h"
#include "model/config.h"

namespace moiety {

struct Linear {
  std::string name;  // canonical, for observers and attachments: "blk.3.attn_q"
  Matrix weight;     // [out, in]
  std::span<const float> bias;  // [out] or empty
  explicit operator bool() const { return static_cast<bool>(weight); }
};

struct NormWeights {
  std::span<const float> weight, bias;  // [n]; both empty: no norm here
  explicit operator bool() const { return !weight.empty(); }
};

struct FeedForward {  // down(act(gate x) * up x)
  Linear gate, up, down;
  explicit operator bool() const { return static_cast<bool>(down); }
};

// An FFN that every row uses.
struct SharedExpert {
  const ExpertKind* kind;
  FeedForward ffn;  // without `gate` where the kind has none
  Linear gate;      // [1, d_model], or none: the output's weight is sigmoid(gate x)
};

// A place with a router and a bank.
struct Site {
  uint32_t index = 0;  // among the model's sites
  uint32_t layer = 0;  // decoder layer
  std::string name;    // "blk.3.ffn", "blk.3.attn"
  const SiteConfig* config = nullptr;
  Linear router;                       // [ids, d_model]; or none
  Linear earlier;                      // [ids, ids of the router before]: what its scores add to these; or none
  std::span<const float> choice_bias;  // [ids] or empty
  std::span<const float> route_table;  // [vocab] an expert for each token, or empty
  std::shared_ptr<ExpertBank> bank;
  std::string routing;  // the model's own text
  std::vector<SharedExpert> shared;
  std::span<const float> output_bias; // [d_model], added once to the combined output; or empty
};

struct AttentionWeights {
  Linear q, k, v, output, gate;
  NormWeights q_norm, k_norm;
  std::span<const float> sinks;  // [heads]
  // latent attention
  Linear q_a, q_b, kv_a;
  NormWeights q_a_norm, kv_a_norm;
  std::vector<Matrix> k_b;  // by head [kv_rank, nope]: takes a query into the latent space
  std::vector<Matrix> v_b;  // by head [value_size, kv_rank]
};

struct RecurrentWeights {  // short convolution and delta nets
  Linear in;                 // short convolution: [3 d_model, d_model]
  Linear q, k, v, gate, beta, decay;
  std::span<const float> conv;       // [channels, taps]; delta nets: channels of q, k, v one after another
  std::span<const float> conv_bias;  // [channels] or empty
  std::span<const float> decay_rate; // [value heads] -exp(A_log)
  std::span<const float> decay_bias; // gated: [value heads], kimi: [channels]
  NormWeights norm;
  Linear output;
};

struct Block {
  const BlockConfig* config = nullptr;
  uint32_t index = 0;
  NormWeights mixer_norm, mixer_post_norm, ffn_norm, ffn_post_norm;
  AttentionWeights attention;
  RecurrentWeights recurrent;
  FeedForward ffn;
  std::unique_ptr<Site> site, attention_site;
};

struct Model {
  Config config;
  std::filesystem::path path;
  Matrix embedding;  // [vocab, d_model]
  NormWeights output_norm;
  Linear output;  // [vocab, d_model]
  std::vector<Block> blocks;
  std::vector<const Site*> sites;
  uint64_t weight_bytes = 0;
  uint64_t fingerprint = 0;  // of a row of every matrix and all vectors, as stored: another model has another one
  std::vector<std::string> notes;  // what was skipped in the file, one line each
  std::vector<std::shared_ptr<void>> storage;  // mapped files and copies that the views above point into
};

}  // namespace moiety
