// Tensors that Hugging Face checkpoints store in two pieces: numbers and scales.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/tensor.h"

namespace moiety {

// FP8 with a scale for each block (DeepSeek-V3, arXiv 2412.19437, section 3.3.2): value = f8 * scale.
// numbers [rows, cols] f8; scales [ceil(rows / block_rows), ceil(cols / block_cols)] f32. Blocks at the edges may be ragged.
// Returns float32 [rows, cols].
std::vector<float> decode_block_scaled(const Tensor& numbers, const Tensor& scales, uint64_t block_rows, uint64_t block_cols);

// MXFP4 as gpt-oss ships it: blocks [..., rows, groups, 16] u8 (two numbers a byte, low nibble first, in order) and scales
// [..., rows, groups] u8. Returns GGUF's MXFP4 blocks, [..., rows, groups * 32] numbers: scale byte first, then 16 bytes whose low
// nibbles are numbers 0-15 and whose high nibbles are 16-31.
std::vector<std::byte> join_mxfp4(const Tensor& blocks, const Tensor& scales);

}  // namespace moiety
