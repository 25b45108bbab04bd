// Causal attention over whole sequences (gradients/causal_attention.h).
#pragma once
#include "gradients/causal_attention.h"
#include "learn/pass.h"

namespace moiety {

// q: [rows, heads * head]; k: [rows, kv_heads * head]; v: [rows, kv_heads * value]. Gives [rows, heads * value].
at::Tensor attention(const CausalShape& shape, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, Pass& pass);
// sinks: [heads], scores of a key that every row sees and that has no value; or undefined.
at::Tensor plain_attention(const CausalShape& shape, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& sinks = {});

}  // namespace moiety
