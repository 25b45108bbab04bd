// Products of float32 matrices with many rows: what training multiplies, in float32 or with its operands rounded to bf16.
//
// The panel kernels (panel.h) serve a few rows against weights that rest in kernel order. Here both sides change from step to step, so they are
// packed as they are met, after Goto and van de Geijn 2008, "Anatomy of High-Performance Matrix Multiplication".
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/huge_pages.h"
#include "base/threads.h"

namespace moiety {

// Number (i, j) of an operand lies at data[i * row + j * column]; one of the two steps is 1.
struct GemmOperand {
  const float* data;
  size_t row, column;
};
inline GemmOperand in_rows(const float* data, size_t columns) { return {data, columns, 1}; }       // data [i][columns]
inline GemmOperand transposed(const float* data, size_t columns) { return {data, 1, columns}; }  // data [j][columns], read the other way

// What a product's operands are rounded to where it packs them; sums are float32 in any case.
enum class Precision : uint8_t { f32, bf16 };

// C[m, n] = A[m, k] B[k, n], or C += A B. C lies in rows, `c_row` numbers apart, and overlaps neither operand.
struct Gemm {
  GemmOperand a, b;
  float* c;
  size_t c_row;
  size_t m, n, k;
  bool add = false;
  Precision precision = Precision::f32;
};

// Memory that is kept from call to call and never cleared again.
using Floats = std::vector<float, HugePageAllocator<float>>;
// At least `count` numbers, with whatever stands in them.
inline float* at_least(Floats& room, size_t count) {
  if (room.size() < count) room.resize(count);
  return room.data();
}

// Memory for packed operands, one for each thread.
struct GemmRoom {
  Floats a, b;
};

// All products in one parallel region; no C may be another's C. `rooms` grows to one for each thread.
// A number is summed in the order of k, in blocks whose size depends on the instruction set alone: its bits depend on its row of A, its column
// of B, the precision and the instruction set, not on threads or on what stands beside it.
void gemm(std::span<const Gemm> products, std::vector<GemmRoom>& rooms, Workers& workers);

// One product on the calling thread; the same bits.
void gemm_alone(const Gemm& product, GemmRoom& room);

}  // namespace moiety
