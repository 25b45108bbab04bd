#include "learn/function_convolution.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>

namespace moiety {

at::Tensor causal_convolution(const at::Tensor& x, const at::Tensor& taps, int64_t length) {
  const int64_t count = taps.size(1);
  const at::Tensor inputs = at::constant_pad_nd(x.reshape({-1, length, x.size(1)}), {0, 0, count - 1, 0});
  at::Tensor out = inputs.narrow(1, 0, length) * taps.select(1, 0);
  for (int64_t j = 1; j < count; j++) out = out + inputs.narrow(1, j, length) * taps.select(1, j);
  return out.reshape(x.sizes());
}

}  // namespace moiety
