// The units of experts without a gate, in training: one row at a time; the caller spreads rows over threads.
#pragma once
#include <span>

namespace moiety {

// hidden[i] = weight * unit(inner[i]): x Phi(x) with the normal distribution's Phi (Hendrycks and Gimpel 2016), and max(x, 0).
void weighted_gelu(std::span<const float> inner, float weight, std::span<float> hidden);
void weighted_relu(std::span<const float> inner, float weight, std::span<float> hidden);

// d_hidden: of the unweighted unit. Returns the gradient of the weight; fills d_inner, and hidden as above. At 0, relu's slope is 0.
float weighted_gelu_gradient(std::span<const float> inner, float weight, std::span<const float> d_hidden, std::span<float> d_inner, std::span<float> hidden);
float weighted_relu_gradient(std::span<const float> inner, float weight, std::span<const float> d_hidden, std::span<float> d_inner, std::span<float> hidden);

}  // namespace moiety
