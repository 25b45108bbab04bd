// What stands between the matrix products: norms, activations, rotations. One row at a time; the caller spreads rows over threads.
#pragma once
#include <cstddef>
#include <span>

namespace moiety {

// out may be the same span as x. An empty weight (or bias) is left out.
// x * factor * weight with factor = 1 / sqrt(mean(x^2) + eps), which is returned.
float rms_norm(std::span<const float> x, std::span<const float> weight, float eps, std::span<float> out);
// (x - mean) / sqrt(variance + eps) * weight + bias
void layer_norm(std::span<const float> x, std::span<const float> weight, std::span<const float> bias, float eps, std::span<float> out);
// x / sqrt(sum(x^2) + eps)
void l2_norm(std::span<const float> x, float eps, std::span<float> out);

float sigmoid(float x);
float silu(float x);
float gelu(float x);       // by erf
float gelu_tanh(float x);  // by the tanh approximation
float gelu_quick(float x);  // x sigmoid(1.702 x)
float softplus(float x);

// Gates of FFNs: gate = act(gate) * up. Each number's bits depend on the number alone. The exponential errs by an ulp or two.
void gated_silu(std::span<float> gate, std::span<const float> up);
void gated_gelu_tanh(std::span<float> gate, std::span<const float> up);
// x sigmoid(alpha x) (y + 1), with x = min(gate, limit), y = up within +-limit (gpt-oss)
void gated_clamped_swish(std::span<float> gate, std::span<const float> up, float limit, float alpha);
// Gates of outputs: x *= sigmoid(gate), x *= silu(gate).
void times_sigmoid(std::span<float> x, std::span<const float> gate);
void times_silu(std::span<float> x, std::span<const float> gate);

void add(std::span<float> x, std::span<const float> y);                   // x += y
void add_scaled(std::span<float> x, std::span<const float> y, float s);   // x += s y
void scale(std::span<float> x, float s);
void weigh(std::span<const float> x, float s, std::span<const float> weight, std::span<float> out);  // out = x s weight; weight as above
bool all_finite(std::span<const float> x);
void soft_cap(std::span<float> x, float cap);  // cap tanh(x / cap)

// out = x with pairs of [0, 2 * cosines.size()) rotated: (x[i], x[i + n]) with n = cosines.size(), or (x[2i], x[2i + 1]) if interleaved.
// out may be x, and is not written beyond.
void rotate(std::span<const float> x, std::span<const float> cosines, std::span<const float> sines, bool interleaved, float* out);

}  // namespace moiety
