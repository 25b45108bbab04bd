// SwiGLU experts of a ragged plan (gradients/grouped_experts.h).
#pragma once
#include <memory>

#include "gradients/grouped_experts.h"
#include "learn/pass.h"

namespace moiety {

// x: [rows, d]; weight: [slots] row by row; gate_up: [experts, 2 width, d]; down: [experts, d, width].
at::Tensor swiglu_experts(std::shared_ptr<const ExpertSlots> slots, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gate_up, const at::Tensor& down, Pass& pass);
at::Tensor plain_swiglu_experts(const ExpertSlots& slots, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& gate_up, const at::Tensor& down);

}  // namespace moiety
