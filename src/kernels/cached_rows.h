// Rows of a KV cache: float32 outside, f32, f16, bf16 or q8_0 inside.
#pragma once
#include <cstddef>
#include <span>

#include "formats/tensor_type.h"

namespace moiety {

class ReadAhead;

// Cached rows of one sequence at one block, in position order.
struct CachedRows {
  TensorType type = TensorType::f32;
  const std::byte* data = nullptr;
  size_t width = 0;      // numbers in a row
  size_t row_bytes = 0;
  const std::byte* row(size_t position) const { return data + position * row_bytes; }
};

// Writes one row into a cache of `type`.
void store_row(std::span<const float> row, TensorType type, std::byte* out);

// The numbers [begin, begin + count) of the rows [first, last), exactly: row p at out + (p - first) * stride, each filled up with zeros to
// `stride`, which is at least count. As much of `ahead` is asked for meanwhile.
void load_rows(const CachedRows& rows, size_t first, size_t last, size_t begin, size_t count, ReadAhead& ahead, float* out, size_t stride);

}  // namespace moiety
