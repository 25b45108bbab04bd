#include "kernels/ops.h"

#include <cmath>

#include "kernels/matmul.h"

namespace moiety {

float rms_norm(std::span<const float> x, std::span<const float> weight, float eps, std::span<float> out) {
  const float mean = dot(x.data(), x.data(), x.size()) / static_cast<float>(x.size());
  const float factor = 1 / std::sqrt(mean + eps);
  weigh(x, factor, weight, out);
  return factor;
}

void l2_norm(std::span<const float> x, float eps, std::span<float> out) {
  const float factor = 1 / std::sqrt(dot(x.data(), x.data(), x.size()) + eps);
  weigh(x, factor, {}, out);
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
float silu(float x) { return x / (1 + std::exp(-x)); }
float gelu(float x) { return 0.5f * x * (1 + std::erf(x * 0.70710678f)); }
float gelu_tanh(float x) { return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x))); }
float gelu_quick(float x) { return x * sigmoid(1.702f * x); }
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

}  // namespace moiety
