// The gate of an expert in training: one row at a time; the caller spreads rows over threads.
#pragma once
#include <span>

namespace moiety {

// gate_up: [2 width], the gate's numbers first. hidden[i] = weight * silu(gate[i]) * up[i].
void weighted_swiglu(std::span<const float> gate_up, float weight, std::span<float> hidden);

// d_hidden: of the unweighted product down(silu(gate) up). Returns the gradient of the weight; d_gate_up: [2 width], hidden as above.
float weighted_swiglu_gradient(std::span<const float> gate_up, float weight, std::span<const float> d_hidden, std::span<float> d_gate_up,
                               std::span<float> hidden);

}  // namespace moiety
