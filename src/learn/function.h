// What the functions over our passes share (function_*.cc).
#pragma once
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "kernels/ops.h"
#include "learn/pass.h"

namespace moiety {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

inline void keep(AutogradContext* context, Pass* pass) { context->saved_data["pass"] = reinterpret_cast<int64_t>(pass); }

// The pass that a function was called with, in its backward. Gradients of parameters leave the graph, so a derivative of them would be silently
// wrong: that is what the plain forms are for.
inline Pass& kept(AutogradContext* context) {
  if (at::GradMode::is_enabled()) throw Error("second derivatives need the plain form of this function (learn/function_*.h)");
  return *reinterpret_cast<Pass*>(context->saved_data["pass"].toInt());
}

// Memory for the gradient of a function's input: a parameter's own place, or a new tensor that the graph gets.
struct GradientPlace {
  float* data = nullptr;
  bool add = false;
  at::Tensor tensor;  // what backward returns: undefined where the arena has it

  GradientPlace(Pass& pass, const at::Tensor& input) {
    if (!input.requires_grad()) return;
    if (const auto place = pass.arena ? pass.arena->gradient_of(input) : std::nullopt) {
      data = place->data, add = place->add;
    } else {
      tensor = at::empty_like(input, at::MemoryFormat::Contiguous);
      data = tensor.data_ptr<float>();
    }
  }
  explicit operator bool() const { return data; }
};

// out = x + y, where out may be x, and y a row for all (of stride 0).
inline void add_rows(ConstRows x, ConstRows y, Rows out, Workers& workers) {
  workers.run(x.rows, 64, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; r++) {
      if (out[r] != x[r]) std::copy_n(x[r], x.cols, out[r]);
      add({out[r], x.cols}, {y[r], x.cols});
    }
  });
}

inline at::Tensor new_rows(int64_t rows, int64_t cols) { return at::empty({rows, cols}, at::kFloat); }

}  // namespace moiety
