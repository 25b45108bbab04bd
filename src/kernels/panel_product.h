// Products of packed weights (kernels/panel.h) with a few or many rows of activations.
//
// Every sum runs over the columns in one order that depends on the type and the instruction set alone: a row gives the same bits whatever
// rows stand beside it. Quantised weights take activations of 8 bits; f32, f16 and bf16 weights take float32.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/activations.h"
#include "kernels/ask_ahead.h"
#include "kernels/matmul.h"
#include "kernels/panel_kernel.h"

namespace moiety {

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

// Memory that a thread keeps for panels that it takes apart.
struct alignas(64) PanelLine {
  std::byte bytes[64];
};
using PanelRoom = std::vector<PanelLine>;

// Panels [begin, end) of a packed matrix as kernels read them: where they rest or, of types that are taken apart at use, in `room`, which
// must stay as it is meanwhile.
class ReadyPanels {
 public:
  ReadyPanels(const Matrix& w, size_t begin, size_t end, PanelRoom& room);
  const std::byte* operator[](size_t panel) const { return first_ + (panel - begin_) * bytes_; }
  // A panel and the one after it, if that is one of these; `next` comes after them.   again: they have met rows already
  PanelPair pair(size_t panel, const std::byte* next, bool again) const {
    return {(*this)[panel], panel + 1 < end_ ? (*this)[panel + 1] : nullptr, next, again || apart_, ask_ahead.two_streams};
  }

  // How many to ask for at once, for so many rows of activations: all that rest ready, else one where it is read once, or as many as a
  // second-level cache holds.
  static size_t together(const Matrix& w, size_t tokens);
  // Calls f(first, last) for the parts of [begin, end) that are to be asked for at once.
  template <class Function>
  static void each_part(const Matrix& w, size_t begin, size_t end, size_t tokens, Function f) {
    const size_t most = together(w, tokens);
    for (size_t count; begin < end; begin += count) f(begin, begin + (count = std::min(most, end - begin)));
  }

 private:
  const std::byte* first_;
  size_t begin_, end_, bytes_;
  bool apart_ = false;
};

// The products of several packed matrices with one input; all rows of x pass by a few panels at a time.
void panel_products(std::span<const MatrixProduct> products, Activations& x, Workers& workers);
// One, on the calling thread.
void panel_product(const Matrix& w, ConstRows x, Rows y);

}  // namespace moiety
