// libtorch's tensor, as little of its headers as will do.
#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/matrix.h"

namespace moiety {

// Whether the passes of gradients/ take it: float32 on the CPU.
inline bool ours(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kFloat; }

// A matrix as rows, and memory for one.   [rows, cols]
inline ConstRows rows_of(const at::Tensor& x) {
  return {x.data_ptr<float>(), static_cast<size_t>(x.size(0)), static_cast<size_t>(x.size(1)), static_cast<size_t>(x.stride(0))};
}
inline Rows rows_to(at::Tensor& x) { return {x.data_ptr<float>(), static_cast<size_t>(x.size(0)), static_cast<size_t>(x.size(1)), static_cast<size_t>(x.stride(0))}; }

}  // namespace moiety
