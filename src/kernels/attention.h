// Softmax attention over cached rows, a block of positions at a time with a running maximum (online softmax: Milakov and Gimelshein 2018,
// arXiv 1805.02867; FlashAttention, arXiv 2205.14135), so that no row of scores is ever whole in memory.
#pragma once
#include <cstddef>
#include <span>

#include "base/threads.h"
#include "kernels/cached_rows.h"

namespace moiety {

struct AttentionShape {
  size_t heads = 0, kv_heads = 0;      // heads is a multiple of kv_heads; head h reads kv head h / (heads / kv_heads)
  size_t key_size = 0, value_size = 0; // per head
  float scale = 1;
  float softcap = 0;                   // c * tanh(score / c) where c > 0
  std::span<const float> sinks;        // [heads] a logit that joins the denominator only; or empty
};

// out [heads, value_size] = softmax(q k) v over the positions [first, last) of a sequence, first < last. Values may be the head of the key
// rows (latent attention): `values` then names the same bytes.
struct AttentionRow {
  const float* query;  // [heads, key_size]
  CachedRows keys, values;
  size_t first, last;
  float* out;
};

// Rows of one sequence that stand together share its cached rows: each is read once for several of them and for all heads of its group.
// A row's sums run over its blocks of 32 positions, counted from 0, and start anew each 256, whose sums are then joined: the order depends on first, last and the
// instruction set alone, and threads may take spans of a single row (FlashDecoding: Dao et al. 2023).
void attend(const AttentionShape& shape, std::span<const AttentionRow> rows, Workers& workers);

}  // namespace moiety
