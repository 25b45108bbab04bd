// Numbers to blocks and back: every tensor type, decoded exactly and, where it pays, encoded.
#pragma once
#include <cstddef>
#include <span>

#include "formats/tensor_type.h"

namespace moiety {

bool can_decode(TensorType type);
bool can_encode(TensorType type);

// Decodes out.size() numbers, a multiple of the block, from `bytes`. Bit for bit what the `gguf` package gives.
void decode(TensorType type, const std::byte* bytes, std::span<float> out);

// Encodes one row. `importance` is empty, or holds the weight of each number's squared error ([row], llama.cpp's imatrix).
void encode_row(TensorType type, std::span<const float> row, std::span<const float> importance, std::byte* out);

}  // namespace moiety
