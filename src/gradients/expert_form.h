// What stands between an expert's two products: from a row of the first to its hidden numbers. A new form is a pair of functions and a row here.
#pragma once
#include <cstddef>
#include <span>

#include "gradients/plain_unit.h"
#include "gradients/swiglu.h"

namespace moiety {

struct ExpertForm {
  size_t inner;  // numbers of the first product for each hidden one
  // inner: [inner width]. hidden[i] = weight * unit(inner)[i].
  void (*forward)(std::span<const float> inner, float weight, std::span<float> hidden);
  // d_hidden: of the product without its weight. Returns the gradient of the weight; fills d_inner, and hidden as above.
  float (*gradient)(std::span<const float> inner, float weight, std::span<const float> d_hidden, std::span<float> d_inner, std::span<float> hidden);
};

inline constexpr ExpertForm swiglu_form{2, weighted_swiglu, weighted_swiglu_gradient};  // silu(gate) up, the gate's numbers first
inline constexpr ExpertForm gelu_form{1, weighted_gelu, weighted_gelu_gradient};
inline constexpr ExpertForm relu_form{1, weighted_relu, weighted_relu_gradient};

}  // namespace moiety
