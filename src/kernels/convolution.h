// A causal convolution of each channel with its own taps, a token at a time.
#pragma once
#include <cstddef>
#include <span>

namespace moiety {

// x [n] = bias + sum over j of taps[j] * what came length - 1 - j tokens ago, which for the last is x itself; then x joins the history, which loses its first.
//   taps [length, n]; bias [n] or empty; history [length - 1, n], rows `stride` apart, the oldest first
void convolve(std::span<const float> taps, std::span<const float> bias, float* history, size_t stride, std::span<float> x);

}  // namespace moiety
