// Experts of a ragged plan, all of one form (gradients/grouped_experts.h).
#pragma once
#include <functional>
#include <memory>

#include "gradients/grouped_experts.h"
#include "learn/pass.h"

namespace moiety {

// A form of gradients/expert_form.h, and the same in libtorch's operations.
struct ExpertFunction {
  const ExpertForm* form;  // null: libtorch's alone
  std::function<at::Tensor(const at::Tensor& inner)> plain;  // [inner width] to [width]
};
extern const ExpertFunction swiglu_function, gelu_function, relu_function;

// Matrices of experts.  in: [experts, form.inner width, d], of SwiGLU the gate's rows first; down: [experts, d, width].
struct ExpertMatrices {
  at::Tensor in, down;
  at::Tensor in_bias = {}, down_bias = {};  // [experts, form.inner width], [experts, d], or undefined; with them libtorch's operations compute
};

// Which choice (row by row) stands in each slot (expert by expert).   [slots] int64
at::Tensor choices_by_expert(const ExpertSlots& slots);

// x: [rows, d]; weight: [slots] row by row; the result: [rows, d].
at::Tensor experts(const ExpertFunction& function, std::shared_ptr<const ExpertSlots> slots, const at::Tensor& x, const at::Tensor& weight, const ExpertMatrices& m, Pass& pass);
at::Tensor plain_experts(const ExpertFunction& function, const ExpertSlots& slots, const at::Tensor& x, const at::Tensor& weight, const ExpertMatrices& m);

}  // namespace moiety
