// A bias on every row.
#pragma once
#include "learn/pass.h"

namespace moiety {

// x + bias.   x: [rows, n]; bias: [n]
at::Tensor add_bias(const at::Tensor& x, const at::Tensor& bias, Pass& pass);
at::Tensor plain_add_bias(const at::Tensor& x, const at::Tensor& bias);

}  // namespace moiety
