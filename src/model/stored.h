// Where a canonical matrix lies inside a stored tensor: the same view reads a checkpoint and writes one.
#pragma once
#include <cstddef>

#include "model/names.h"
#include "formats/tensor_type.h"

namespace moiety {

// Row r begins at row_offset(r); neighbours in a row are column_bytes apart, or, where rows are contiguous, a row may be any blocks.
struct StoredMatrix {
  TensorType type = TensorType::f32;
  size_t rows = 0, cols = 0;
  const std::byte* data = nullptr;
  size_t row_bytes = 0, column_bytes = 0;
  size_t rows_per_group = 0, group_bytes = 0;  // rows come in groups, group_bytes apart
  bool contiguous_rows = true;

  size_t row_offset(size_t r) const { return r / rows_per_group * group_bytes + r % rows_per_group * row_bytes; }
  bool uniform() const { return rows_per_group >= rows; }
};

// The stored matrix that holds a canonical one of [rows, cols]: lines of line_length numbers each. A stack is so many of them.
struct StoredShape {
  size_t lines, line_length;
};
StoredShape stored_shape(const TensorName& name, const Config& config, size_t rows, size_t cols);

// The canonical matrix inside the place-th stored matrix of a tensor whose bytes begin at `data`.
StoredMatrix stored_view(const TensorName& name, const Config& config, TensorType type, const std::byte* data, size_t place, size_t rows,
                         size_t cols);

}  // namespace moiety
