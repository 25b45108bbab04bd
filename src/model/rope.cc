#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace moiety {
namespace {

// YaRN (Peng et al. 2023, arXiv 2309.00071), section 3.2: dimensions that turn often keep their frequency, those that turn less than
// beta_slow times over the original context are interpolated, with a ramp between.
std::vector<float> yarn(const Rope& r) {
  const double n = r.size;
  auto dimension = [&](double rotations) {
    return n * std::log(r.original_context / (rotations * 2 * std::numbers::pi)) / (2 * std::log(r.theta));
  };
  double low = dimension(r.beta_fast), high = dimension(r.beta_slow);
  if (r.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, n - 1);
  if (low == high) high += 0.001;
  std::vector<float> out(r.size / 2);
  for (size_t i = 0; i < out.size(); i++) {
    const float frequency = 1 / static_cast<float>(std::pow(static_cast<float>(r.theta), static_cast<float>(2 * i) / static_cast<float>(n)));
    const float ramp = std::clamp((static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    out[i] = frequency / static_cast<float>(r.factor) * ramp + frequency * (1 - ramp);
  }
  return out;
}

// Frequency i of `exponent_size` numbers, as every reference computes it: exponent and power in float32.
float power_of(const Rope& r, double theta, size_t i) {
  const float size = static_cast<float>(r.exponent_size ? r.exponent_size : r.size);
  return std::pow(static_cast<float>(theta), static_cast<float>(2 * i) / size);
}

// Llama 3.1's scaling by wavelength (Dubey et al. 2024, arXiv 2407.21783).
float llama3(const Rope& r, float frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double context = r.original_context;
  if (wavelength > context / r.low_freq) return static_cast<float>(frequency / r.factor);
  if (wavelength < context / r.high_freq) return frequency;
  const double smooth = (context / wavelength - r.low_freq) / (r.high_freq - r.low_freq);
  return static_cast<float>((1 - smooth) * frequency / r.factor + smooth * frequency);
}

}  // namespace

uint32_t rope_length_class(const Rope& rope, uint32_t length) {
  if (rope.scaling == Rope::Scaling::longrope) return length > rope.original_context ? 1 : 0;
  if (rope.scaling == Rope::Scaling::dynamic) return length > rope.trained_context ? length : 0;
  return 0;
}

RopeFrequencies rope_frequencies(const Rope& r, uint32_t length_class) {
  RopeFrequencies f;
  f.factor = static_cast<float>(r.attention_factor);
  if (r.scaling == Rope::Scaling::yarn) {
    f.inverse = yarn(r);
    return f;
  }
  double theta = r.theta;
  if (r.scaling == Rope::Scaling::dynamic && length_class > 0)  // NTK-aware: theta grows with the length
    theta *= std::pow(r.factor * length_class / r.trained_context - (r.factor - 1), r.exponent_size / (r.exponent_size - 2.0));
  if (r.scaling == Rope::Scaling::longrope && length_class == 1) f.factor = static_cast<float>(r.long_attention_factor);
  const std::vector<double>& divisors = length_class == 1 && r.scaling == Rope::Scaling::longrope ? r.long_factors : r.short_factors;
  f.inverse.resize(r.size / 2);
  for (size_t i = 0; i < f.inverse.size(); i++) {
    const float power = power_of(r, theta, i);
    float frequency = 1 / power;
    if (i < divisors.size()) frequency = 1 / (static_cast<float>(divisors[i]) * power);
    if (r.scaling == Rope::Scaling::proportional && 2 * i >= r.proportion * r.size) frequency = 0;  // these pairs stand still
    if (r.scaling == Rope::Scaling::linear || r.scaling == Rope::Scaling::proportional) frequency /= static_cast<float>(r.factor);
    if (r.scaling == Rope::Scaling::llama3 && divisors.empty()) frequency = llama3(r, frequency);
    f.inverse[i] = frequency;
  }
  return f;
}

size_t other_order_row(const Config& c, std::string_view tensor, size_t row, bool interleaved) {
  const auto is = [&](std::initializer_list<std::string_view> names) { return std::ranges::any_of(names, [&](std::string_view name) { return tensor.starts_with(name); }); };
  const auto other = [&](size_t i, size_t half) {
    if (interleaved) return i % 2 == 0 ? i / 2 : half + i / 2;
    return i < half ? 2 * i : 2 * (i - half) + 1;
  };
  if (c.kv_rank) {  // latent attention rotates the end of each query, and of the latent rows
    const bool query = is({"attn_q.", "attn_q_b."});
    if (!query && !is({"attn_kv_a_mqa."})) return row;
    const size_t still = query ? c.key_size - c.rope_key_size : c.kv_rank, i = row % (still + c.rope_key_size);
    return i < still ? row : row - i + still + other(i - still, c.rope_key_size / 2);
  }
  if (!is({"attn_q.", "attn_k.", "attn_q_norm.", "attn_k_norm.", "attn_q_exps."})) return row;
  const size_t size = c.ropes[0].size, i = row % c.key_size;
  return i < size ? row - i + other(i, size / 2) : row;
}

void rope_row(const RopeFrequencies& f, uint32_t position, std::span<float> cosines, std::span<float> sines) {
  for (size_t i = 0; i < f.inverse.size(); i++) {
    const float angle = static_cast<float>(position) * f.inverse[i];
    cosines[i] = std::cos(angle) * f.factor;
    sines[i] = std::sin(angle) * f.factor;
  }
}

}  // namespace moiety
