// Products of one input with several weights: y[i] = x w[i]^T.
#pragma once
#include <vector>

#include "learn/pass.h"

namespace moiety {

// x: [rows, d]; w[i]: [n_i, d]; result i: [rows, n_i]. What is large takes the pass's precision; routers and gates stay in float32.
std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<at::Tensor>& w, Pass& pass, Precision precision = Precision::f32);
inline at::Tensor linear(const at::Tensor& x, const at::Tensor& w, Pass& pass, Precision precision = Precision::f32) { return linears(x, {w}, pass, precision)[0]; }
at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& w);

}  // namespace moiety
