// The innermost product of gemm.cc for each instruction set. Internal to kernels/.
#pragma once
#include <cstddef>

namespace moiety {

// What one lane multiplies at a step is a word: a float, or two neighbours along k in bf16, the first in the lower half. Packed operands are
// made of words, the last one filled up with zero.
struct GemmKernel {
  static constexpr size_t most_rows = 32, most_columns = 32;
  size_t numbers;        // of k in a word: 1 or 2
  size_t rows, columns;  // of a full tile
  // c[i][j] = (add: +=) the sum over d < depth words of A(i, d) b[d][j], for all columns of a tile; C's rows are c_row numbers apart.
  // A(i, d) is a[i * a_row + d]; in the packed form it is as copy_rows leaves it, and a_row is not looked at.
  using Tile = void (*)(const float* a, size_t a_row, const float* b, size_t depth, float* c, size_t c_row, bool add);
  Tile in_rows[most_rows];  // by the number of rows, less one
  Tile packed[most_rows];   // of them, where A is packed for full tiles
  // Packing, of whole tiles: columns side by side out of rows of B, rows out of columns of A, columns out of columns of B.
  // The numbers of out[t][..][j] are x[d * x_step + t * n + j], d < depth, t < tiles, j < n (rows or columns of a tile); those of rows may be
  // in an order of the kernel's own within a tile.
  using Copy = void (*)(const float* x, size_t x_step, size_t depth, size_t tiles, float* out);
  Copy copy_columns, copy_rows;
  // The numbers of out[..][j] are w[j * w_row + d] for one tile's columns, d < depth.
  using Transpose = void (*)(const float* w, size_t w_row, size_t depth, float* out);
  Transpose transpose;
  // Rows of A as words: the numbers of out[i][..] are a[i * a_row + d], d < depth, i < rows. Null where tiles read A's rows as they lie.
  using CopyInRows = void (*)(const float* a, size_t a_row, size_t depth, size_t rows, float* out);
  CopyInRows copy_in_rows;
};

extern const GemmKernel gemm_kernel_portable, gemm_kernel_avx2, gemm_kernel_avx512;
// Of operands rounded to bf16.
extern const GemmKernel gemm_rounded_kernel_portable, gemm_rounded_kernel_avx2, gemm_rounded_kernel_avx512, gemm_kernel_avx512bf16, gemm_kernel_amx;

}  // namespace moiety
