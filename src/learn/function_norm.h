// RMSNorm, alone and with the sum that comes before it in every block.
#pragma once
#include "learn/pass.h"

namespace moiety {

// x / sqrt(mean(x^2) + eps) * weight.   x: [rows, d]
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, float eps, Pass& pass);
at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, float eps);

// sum = x + y and its norm, in one pass over the rows.
struct SumAndNorm {
  at::Tensor sum, normed;
};
SumAndNorm add_and_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, float eps, Pass& pass);

}  // namespace moiety
