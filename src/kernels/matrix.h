// A weight matrix of any tensor type, and views of float rows.
#pragma once
#include <cstddef>

#include "formats/tensor_type.h"

namespace moiety {

// y[r] = sum over c of W[r, c] x[c].   [rows, cols]
struct Matrix {
  TensorType type = TensorType::f32;
  size_t rows = 0, cols = 0;
  const std::byte* data = nullptr;
  size_t row_bytes = 0;  // from one row to the next: rows may lie apart (interleaved gate and up)
  const std::byte* panels = nullptr;  // the same numbers in kernel order (kernels/panel.h); rows may then be absent

  explicit operator bool() const { return data || panels; }
  const std::byte* row(size_t r) const { return data + r * row_bytes; }
};

// Rows of floats, `stride` apart.   [rows, cols]
struct ConstRows {
  const float* data = nullptr;
  size_t rows = 0, cols = 0, stride = 0;
  const float* operator[](size_t r) const { return data + r * stride; }
};

struct Rows {
  float* data = nullptr;
  size_t rows = 0, cols = 0, stride = 0;
  float* operator[](size_t r) const { return data + r * stride; }
  operator ConstRows() const { return {data, rows, cols, stride}; }
};

}  // namespace moiety
