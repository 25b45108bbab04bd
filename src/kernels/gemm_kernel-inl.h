// A tile of sums in registers: `rows` broadcast numbers of A meet `vectors` vectors of B at every step of k.
// V: lanes, Vector, zero(), all(x), load(p), store(p, x), plus(x, y), fused(x, y, z) = x y + z.
#include <cstddef>
#include <utility>

#include "kernels/gemm_kernel.h"

namespace moiety {
namespace {

template <class V, size_t rows, size_t vectors, bool packed, size_t packed_rows>
void tile(const float* a, size_t a_row, const float* b, size_t depth, float* c, size_t c_row, bool add) {
  typename V::Vector sum[rows][vectors], w[vectors];
#pragma GCC unroll 16
  for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; j++) {
      __builtin_prefetch(c + i * c_row + j * V::lanes, 1);
      sum[i][j] = V::zero();
    }
  for (size_t d = 0; d < depth; d++, b += vectors * V::lanes) {
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; j++) w[j] = V::load(b + j * V::lanes);
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++) {
      const typename V::Vector x = V::all(packed ? a[d * packed_rows + i] : a[i * a_row + d]);
#pragma GCC unroll 4
      for (size_t j = 0; j < vectors; j++) sum[i][j] = V::fused(x, w[j], sum[i][j]);
    }
  }
#pragma GCC unroll 16
  for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
    for (size_t j = 0; j < vectors; j++) {
      float* out = c + i * c_row + j * V::lanes;
      V::store(out, add ? V::plus(V::load(out), sum[i][j]) : sum[i][j]);
    }
}

// Reads run along x's rows, which lie together in memory.
template <size_t n>
void copy_tiles(const float* x, size_t x_step, size_t depth, size_t tiles, float* out) {
  for (size_t d = 0; d < depth; d++, x += x_step)
    for (size_t t = 0; t < tiles; t++) __builtin_memcpy(out + (t * depth + d) * n, x + t * n, n * sizeof(float));
}

template <class V, size_t vectors, size_t... row>
constexpr GemmKernel all_tiles(std::index_sequence<row...>, void (*transpose)(const float*, size_t, size_t, float*)) {
  constexpr size_t rows = sizeof...(row);
  return {rows, vectors * V::lanes, {tile<V, row + 1, vectors, false, rows>...}, {tile<V, row + 1, vectors, true, rows>...},
          copy_tiles<vectors * V::lanes>, copy_tiles<rows>, transpose};
}

}  // namespace
}  // namespace moiety
