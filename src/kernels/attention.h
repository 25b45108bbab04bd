// Softmax attention of one query row over cached rows.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/tensor_type.h"

namespace moiety {

// Cached rows of one sequence at one block, in position order, as f32, f16, bf16 or q8_0.
struct CachedRows {
  TensorType type = TensorType::f32;
  const std::byte* data = nullptr;
  size_t width = 0;      // numbers in a row
  size_t row_bytes = 0;
  const std::byte* row(size_t position) const { return data + position * row_bytes; }
};

struct AttentionShape {
  size_t heads = 0, kv_heads = 0;      // heads is a multiple of kv_heads; head h reads kv head h / (heads / kv_heads)
  size_t key_size = 0, value_size = 0; // per head
  float scale = 1;
  float softcap = 0;                   // c * tanh(score / c) where c > 0
  std::span<const float> sinks;        // [heads] a logit that joins the denominator only; or empty
};

// out [heads * value_size] = softmax(q k) v over the positions [first, last). Values may be the head of the key rows (latent
// attention): `values` then names the same bytes. The order of the sums depends on first, last and the instruction set alone.
// scratch: at least attention_scratch(shape, last - first) floats.
void attend(const AttentionShape& shape, std::span<const float> query, const CachedRows& keys, const CachedRows& values,
            size_t first, size_t last, std::span<float> scratch, std::span<float> out);
size_t attention_scratch(const AttentionShape& shape, size_t positions);

// Writes one row into a cache of `type`.
void store_row(std::span<const float> row, TensorType type, std::byte* out);
// Reads it back.
void load_row(TensorType type, const std::byte* bytes, std::span<float> out);

}  // namespace moiety
