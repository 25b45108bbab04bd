// Causal convolutions of each channel with its own taps, in libtorch's operations.
#pragma once
#include "learn/tensor.h"

namespace moiety {

// out[t] = sum over j of taps[:, j] * x[t - (taps - 1) + j], where x is 0 before its sequence.   x: [sequences * length, channels]; taps: [channels, taps]
at::Tensor causal_convolution(const at::Tensor& x, const at::Tensor& taps, int64_t length);

}  // namespace moiety
