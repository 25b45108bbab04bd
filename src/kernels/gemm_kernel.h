// The innermost product of gemm.cc for each instruction set. Internal to kernels/.
#pragma once
#include <cstddef>

namespace moiety {

struct GemmKernel {
  static constexpr size_t most_rows = 12;
  // c[i][j] = (add: +=) the sum over d < depth of A(i, d) b[d][j], for all columns of a tile; C's rows are c_row numbers apart.
  // A(i, d) is a[i * a_row + d]; in the packed form it is a[d * rows + i], and a_row is not looked at.
  using Tile = void (*)(const float* a, size_t a_row, const float* b, size_t depth, float* c, size_t c_row, bool add);
  size_t rows, columns;              // of a full tile
  Tile in_rows[most_rows];           // by the number of rows, less one
  Tile packed[most_rows];            // of them, where A is packed for full tiles
  // Packing, of whole tiles: columns side by side out of rows of B, rows side by side out of columns of A, columns out of columns of B.
  // out[t][d][j] = x[d * x_step + t * n + j], d < depth, t < tiles, j < n (rows or columns of a tile)
  using Copy = void (*)(const float* x, size_t x_step, size_t depth, size_t tiles, float* out);
  Copy copy_columns, copy_rows;
  // out[d][j] = w[j * w_row + d] for one tile's columns, d < depth.
  void (*transpose)(const float* w, size_t w_row, size_t depth, float* out);
};

extern const GemmKernel gemm_kernel_portable, gemm_kernel_avx2, gemm_kernel_avx512;

}  // namespace moiety
