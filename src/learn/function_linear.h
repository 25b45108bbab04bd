// Products of one input with several weights: y[i] = x w[i]^T.
#pragma once
#include <vector>

#include "learn/pass.h"

namespace moiety {

// x: [rows, d]; w[i]: [n_i, d]; result i: [rows, n_i].
std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<at::Tensor>& w, Pass& pass);
inline at::Tensor linear(const at::Tensor& x, const at::Tensor& w, Pass& pass) { return linears(x, {w}, pass)[0]; }
at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& w);

}  // namespace moiety
