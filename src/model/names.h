// Where a tensor of the model lies in a checkpoint: canonical names (GGUF's) against the names and layouts of each format.
//
// Every tensor has one canonical name and shape, whatever file it comes from:
//   vectors  [n]                      attn_norm.weight, attn_q.bias, attn_sinks.weight …
//   matrices [rows, cols]             attn_q.weight, ffn_gate.weight …
//   stacks   [count, rows, cols]      ffn_gate_exps.weight (by expert), attn_k_b.weight (by head) …
// A row of the table says how one format stores it. The same row reads (as a strided view, without a copy where the numbers of a
// row lie together) and writes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace moiety {

// Which rows of the stored matrix are the canonical ones.
enum class Slice : uint8_t {
  all,
  first_half, second_half,                // gate and up in one tensor
  even, odd,                              // gate and up interleaved
  query, key, value,                      // q, k, v in one tensor, one after another
  key_nope, head_value,                   // latent attention's kv_b: by head, [nope + value, rank]
  delta_query, delta_key, delta_value, delta_gate,  // qwen3_next's in_proj_qkvz: by key head
  delta_beta, delta_decay,                          // and in_proj_ba
  first_keys, second_keys, after_keys,              // delta net's q, k, v one after another
};

enum class Adjust : uint8_t { none, plus_one, minus_exp, negated };  // canonical = stored + 1, -exp(stored), -stored

// The extents of a stored tensor; the numbers and their order are the same in each.
enum class Extents : uint8_t {
  plain,         // [n] for vectors, [rows, cols] for matrices, [count, rows, cols] for stacks
  joined_stack,  // [count * rows, cols]
  column, row,   // a vector as [n, 1], as [1, n]
  flat,          // a matrix of one row as [cols]
  taps,          // short convolutions: [channels, taps]
  channel_taps,  // [channels, 1, taps]
};

struct TensorName {
  std::string canonical;  // without "blk.N." where `stored` has {l}; "ffn_gate_exps.weight"
  std::string stored;     // {l} layer, {p} part of the layer, {b} block, {e} expert: one tensor each
  Slice slice = Slice::all;
  bool transposed = false;  // stored matrix is [cols, rows]
  Adjust adjust = Adjust::none;
  bool read_only = false;  // another row is what a new file gets
  Extents extents = Extents::plain;
};

// Rows of this family, most special first: the first whose stored tensor exists in the file is taken.
std::vector<TensorName> hf_names(const Config& config);
std::vector<TensorName> gguf_names(const Config& config);

// Between a tensor's name and ".weight", of a site's banks: "_exps" of the first group, "_exps.1" of the second.
std::string group_suffix(std::string_view bank, size_t group);

// "blk.3.attn_q.weight" for a block, the bare name for the model's own tensors. Blocks are entries of the schedule.
std::string canonical_name(std::string_view name, int block);

}  // namespace moiety
