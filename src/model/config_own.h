// Moiety's own family: a config.json that says block by block what a model is, for models that no family of Transformers is shaped like.
//
//   {"model_type": "moiety", "hidden_size": 128, "vocab_size": 512, "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "tie_word_embeddings": true,
//    "blocks": [
//      {"attention": {"heads": 4, "kv_heads": 2, "head_size": 32, "rope_theta": 10000, "window": 0, "qk_norm": "per_head"},
//       "ffn": {"width": 512}},
//      {"attention": ...,
//       "ffn": {"experts": [{"kind": "swiglu", "count": 12, "width": 64}, {"kind": "gelu", "count": 2, "width": 128}, {"kind": "copy", "count": 1}],
//               "shared": [{"kind": "swiglu", "width": 64, "gate": true}],
//               "routing": "softmax | top_k(2)", "router": true, "bias": false, "route_table": false}}]}
//
// or, with latent attention (arXiv 2405.04434), of the same sizes in all blocks that have it:
//
//      {"attention": {"kind": "latent", "heads": 4, "kv_rank": 64, "q_rank": 0, "head_size": 32, "rope_head_size": 16, "value_head_size": 32,
//                     "rope_theta": 10000, "latent_norm_eps": 1e-06}, "ffn": ...}
//
// Ids of experts go through the list. window 0: all positions. qk_norm: none, per_head, whole. "bias" and "output_bias": true beside it:
// queries, keys and values, or the attention's output have biases. router: whether there are router weights; bias and
// route_table: whether there are tensors for the stages `bias` and `hash`. "gating_residual": true beside them: the scores of the nearest router before
// this one, times a matrix, join its own. docs/format.md has the tensors' names.
#pragma once
#include "model/config.h"
#include "model/keys.h"

namespace moiety {

// All but the ids of tokens. An Error for a key that is missing, not known, or of no sense.
void read_own_config(const Keys& keys, Config& config);

}  // namespace moiety
