#include "kernels/ops.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"

namespace moiety {

float rms_norm(std::span<const float> x, std::span<const float> weight, float eps, std::span<float> out) {
  const float mean = dot(x.data(), x.data(), x.size()) / static_cast<float>(x.size());
  const float factor = 1 / std::sqrt(mean + eps);
  weigh(x, factor, weight, out);
  return factor;
}

void layer_norm(std::span<const float> x, std::span<const float> weight, std::span<const float> bias, float eps, std::span<float> out) {
  double sum = 0;
  for (float v : x) sum += v;
  const float mean = static_cast<float>(sum / static_cast<double>(x.size()));
  double squares = 0;
  for (float v : x) squares += static_cast<double>(v - mean) * (v - mean);
  const float factor = 1 / std::sqrt(static_cast<float>(squares / static_cast<double>(x.size())) + eps);
  for (size_t i = 0; i < x.size(); i++)
    out[i] = (x[i] - mean) * factor * (weight.empty() ? 1.0f : weight[i]) + (bias.empty() ? 0.0f : bias[i]);
}

void l2_norm(std::span<const float> x, float eps, std::span<float> out) {
  const float factor = 1 / std::sqrt(dot(x.data(), x.data(), x.size()) + eps);
  weigh(x, factor, {}, out);
}

void softmax(std::span<float> x) {
  if (x.empty()) return;
  const float top = *std::max_element(x.begin(), x.end());
  float sum = 0;
  for (float& v : x) sum += v = std::exp(v - top);
  for (float& v : x) v /= sum;
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
float silu(float x) { return x / (1 + std::exp(-x)); }
float gelu(float x) { return 0.5f * x * (1 + std::erf(x * 0.70710678f)); }
float gelu_tanh(float x) { return 0.5f * x * (1 + std::tanh(0.79788456f * (x + 0.044715f * x * x * x))); }
float gelu_quick(float x) { return x * sigmoid(1.702f * x); }
float softplus(float x) { return x > 20 ? x : std::log1p(std::exp(x)); }

}  // namespace moiety
