// Activations in 8 bits, the form that products with quantised weights take.
//
// Blocks of 32 numbers with a float32 scale each (the largest magnitude becomes 127), and sums that stand for the weights' offsets and minima.
// A row's bytes depend on the row and the instruction set alone. NaN, infinity or a magnitude above q8_largest anywhere in a block makes
// its scale NaN.
//
// A scale has 22 bits, so that 3 * 2^22 times it is exact in float32: with the bits of the whole number q8_start + sum taken for a float,
// which then is 3 * 2^22 + sum, a fused multiply-add with `scaled_start` gives scale * sum, rounded once.
#pragma once
#include <cstdint>
#include <memory>

#include "base/threads.h"
#include "kernels/matrix.h"

namespace moiety {

inline constexpr int32_t q8_start = 0x4b400000;  // the bits of 3 * 2^22
inline constexpr float q8_largest = 0x1p110f;
inline constexpr int q8_offsets[] = {8, 16, 128};  // of codes that stand in blocks of 32
// Which of them an offset is; -1: none.
constexpr int q8_start_for(int offset) {
  for (int i = 0; i < 3; i++)
    if (q8_offsets[i] == offset) return i;
  return -1;
}

struct alignas(64) Q8Block {
  int8_t q[32];
  float scale;
  float scaled_start;   // -3 * 2^22 * scale
  float scaled_sum[2];  // scale times the sum of q: of the first 16 and of the last
  float scaled_whole;   // of all 32
  int32_t starts[3];    // q8_start - an offset times the sum of q
};
static_assert(sizeof(Q8Block) == 64);

void quantise_row(const float* x, size_t cols, Q8Block* out);  // [cols / 32], rounded up: missing columns count as zero

// [rows, blocks], to be filled.
class Q8Rows {
 public:
  Q8Rows() = default;
  Q8Rows(size_t rows, size_t cols) : blocks_((cols + 31) / 32), values_(std::make_unique_for_overwrite<Q8Block[]>(rows * stride())) {}
  Q8Rows(ConstRows x, Workers& workers);
  size_t blocks() const { return blocks_; }
  bool empty() const { return !values_; }
  const Q8Block* operator[](size_t row) const { return values_.get() + row * stride(); }
  Q8Block* operator[](size_t row) { return values_.get() + row * stride(); }

 private:
  // Odd: the same columns of many rows lie in different sets of a cache.
  size_t stride() const { return blocks_ | 1; }
  size_t blocks_ = 0;
  std::unique_ptr<Q8Block[]> values_;
};

}  // namespace moiety
