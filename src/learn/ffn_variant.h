// What gated FFNs have in some models that a run may start from: another unit on the gate, biases.
#pragma once
#include <string>

#include "learn/description.h"
#include "learn/function_experts.h"

namespace moiety {

struct FfnVariant {
  std::string activation = "silu";  // or gelu, gelu_tanh, gelu_quick, relu, relu_squared, clamped
  double limit = 0, alpha = 1;      // of clamped, GPT-OSS's: g sigmoid(alpha g) (u + 1) with g = min(gate, limit) and u = clamp(up, -limit, limit)
  bool bias = false;                // of both products
  bool operator==(const FfnVariant&) const = default;
};

// The keys activation, activation_limit and activation_alpha; `bias_key` is that of the biases.
FfnVariant read_ffn_variant(const Table& table, std::string_view bias_key);

// unit(gate) up, the gate's numbers first.
ExpertFunction gated_function(const FfnVariant& variant);

}  // namespace moiety
