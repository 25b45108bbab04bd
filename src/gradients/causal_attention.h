// Causal attention over whole sequences in training: softmax(scale Q K^T) V, block by block, of which only the output and the logarithm of each
// row's sum are kept. Dao et al. 2022, "FlashAttention", algorithms 1 and 4; here whole rows of scores fit in a cache, so that no running
// maximum is needed.
#pragma once
#include <span>

#include "gradients/room.h"
#include "kernels/matrix.h"

namespace moiety {

// Rows of all arrays: sequence after sequence, `length` rows each. Head h of a row lies at [h * head, (h + 1) * head), of values and outputs at
// [h * value, (h + 1) * value); query head h looks at key head h / (heads / kv_heads). A row sees itself and the window - 1 rows before it; window 0: all of them.
struct CausalShape {
  size_t sequences, length, heads, kv_heads, head, value, window;
  float scale;
  Precision precision = Precision::f32;  // of the products; sums and probabilities are float32
  size_t chunk = 0;  // a row sees no row of another chunk of so many; 0: no chunks
};

// out: [rows, heads * value]; log_sums: [rows, heads].
void causal_attention(const CausalShape& shape, ConstRows q, ConstRows k, ConstRows v, Rows out, float* log_sums, GradientRoom& room, Workers& workers);

// dq, dk, dv are written.
struct AttentionGradients {
  Rows q, k, v;
};
void causal_attention_gradient(const CausalShape& shape, ConstRows q, ConstRows k, ConstRows v, ConstRows out, const float* log_sums, ConstRows d_out,
                               const AttentionGradients& gradients, GradientRoom& room, Workers& workers);

}  // namespace moiety
