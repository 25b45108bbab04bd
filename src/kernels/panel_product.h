// Products of packed weights (kernels/panel.h) with a few or many rows of activations.
//
// Every sum runs over the columns in one order that depends on the type and the instruction set alone: a row gives the same bits whatever
// rows stand beside it. Quantised weights take activations of 8 bits; f32, f16 and bf16 weights take float32.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/matmul.h"
#include "kernels/panel_kernel.h"

namespace moiety {

inline constexpr size_t panel_tile = 8;  // rows of activations that share a panel's unpacking

// The kernels of the instruction set in use.
const PanelKernels& panel_kernels();
// Those of the others that this machine can run, best first; for tests.
std::vector<const PanelKernels*> available_panel_kernels();
PanelKernel panel_kernel_of(const PanelKernels& kernels, TensorType type);

// Rows of activations as a product with weights of `type` wants them.
class RowPointers {
 public:
  RowPointers(TensorType type, Activations& x, Workers& workers);
  // Made on the calling thread; what is made lies in `room`.
  RowPointers(TensorType type, ConstRows x, Q8Rows& room);
  const void* operator[](size_t row) const { return q8_ ? static_cast<const void*>((*q8_)[row]) : floats_[row]; }

 private:
  const Q8Rows* q8_ = nullptr;
  ConstRows floats_;
};

// The products of several packed matrices with one input; all rows of x pass by a few panels at a time.
void panel_products(std::span<const MatrixProduct> products, Activations& x, Workers& workers);
// One, on the calling thread.
void panel_product(const Matrix& w, ConstRows x, Rows y);

}  // namespace moiety
