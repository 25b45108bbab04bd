#include "gradients/plain_unit.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace moiety {
namespace {

struct UnitAndSlope {
  float unit, slope;
};

UnitAndSlope gelu_of(float x) {
  const float below = 0.5f * (1 + std::erf(x * (std::numbers::sqrt2_v<float> / 2)));
  const float density = std::exp(-0.5f * x * x) * (std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>);
  return {x * below, below + x * density};
}

UnitAndSlope relu_of(float x) { return {std::max(x, 0.0f), x > 0 ? 1.0f : 0.0f}; }

template <class Unit>
void forward(std::span<const float> inner, float weight, std::span<float> hidden, Unit unit) {
  for (size_t i = 0; i < hidden.size(); i++) hidden[i] = weight * unit(inner[i]).unit;
}

template <class Unit>
float gradient(std::span<const float> inner, float weight, std::span<const float> d_hidden, std::span<float> d_inner, std::span<float> hidden, Unit unit) {
  float sum = 0;
  for (size_t i = 0; i < hidden.size(); i++) {
    const UnitAndSlope u = unit(inner[i]);
    sum += d_hidden[i] * u.unit;
    d_inner[i] = weight * d_hidden[i] * u.slope;
    hidden[i] = weight * u.unit;
  }
  return sum;
}

}  // namespace

void weighted_gelu(std::span<const float> inner, float weight, std::span<float> hidden) { forward(inner, weight, hidden, gelu_of); }
void weighted_relu(std::span<const float> inner, float weight, std::span<float> hidden) { forward(inner, weight, hidden, relu_of); }

float weighted_gelu_gradient(std::span<const float> inner, float weight, std::span<const float> d_hidden, std::span<float> d_inner, std::span<float> hidden) {
  return gradient(inner, weight, d_hidden, d_inner, hidden, gelu_of);
}
float weighted_relu_gradient(std::span<const float> inner, float weight, std::span<const float> d_hidden, std::span<float> d_inner, std::span<float> hidden) {
  return gradient(inner, weight, d_hidden, d_inner, hidden, relu_of);
}

}  // namespace moiety
