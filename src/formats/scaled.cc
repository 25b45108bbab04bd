#include "formats/scaled.h"

#include "base/error.h"
#include "formats/codec.h"

namespace moiety {

std::vector<float> decode_block_scaled(const Tensor& numbers, const Tensor& scales, uint64_t block_rows, uint64_t block_cols) {
  if (numbers.shape.size() != 2 || (scales.shape.size() != 2 && scales.count() != 1) || block_rows == 0 || block_cols == 0)
    throw Error("tensor {}: FP8 with block scales must be a matrix", numbers.name);
  const uint64_t rows = numbers.shape[0], cols = numbers.shape[1];
  const uint64_t down = (rows + block_rows - 1) / block_rows, across = (cols + block_cols - 1) / block_cols;
  if (scales.count() != down * across || (scales.shape.size() == 2 && scales.shape[0] != down))
    throw Error("tensor {}: {} scales for [{}, {}] blocks of {} x {}", numbers.name, scales.count(), down, across, block_rows, block_cols);
  std::vector<float> factor(scales.count()), out(numbers.count());
  decode(scales.type, scales.bytes.data(), factor);
  decode(numbers.type, numbers.bytes.data(), out);
  for (uint64_t r = 0; r < rows; r++)
    for (uint64_t c = 0; c < cols; c++) out[r * cols + c] *= factor[r / block_rows * across + c / block_cols];
  return out;
}

std::vector<std::byte> join_mxfp4(const Tensor& blocks, const Tensor& scales) {
  if (blocks.type != TensorType::u8 || scales.type != TensorType::u8 || blocks.row_length() != 16 || scales.count() != blocks.count() / 16)
    throw Error("tensor {}: MXFP4 blocks and scales do not fit each other", blocks.name);
  const uint64_t count = scales.count();
  std::vector<std::byte> out(count * 17);
  for (uint64_t b = 0; b < count; b++) {
    const std::byte* in = blocks.bytes.data() + b * 16;
    std::byte* block = out.data() + b * 17;
    block[0] = scales.bytes[b];
    auto number = [&](size_t i) { return in[i / 2] >> (i % 2 * 4) & std::byte{15}; };
    for (size_t i = 0; i < 16; i++) block[1 + i] = number(i) | number(i + 16) << 4;
  }
  return out;
}

}  // namespace moiety
