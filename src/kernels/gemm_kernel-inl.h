// A tile of sums in registers: `rows` broadcast words of A meet `vectors` vectors of B at every step of k.
// V: lanes, Vector, zero(), all(x), load(p), store(p, x), plus(x, y), fused(x, y, z) = x y + z.
#include <cstddef>
#include <cstdint>
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
      const typename V::Vector x = V::all(packed ? a + d * packed_rows + i : a + i * a_row + d);
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

// Packing takes a short piece of each row of x, which the machine's own prefetching does not follow from row to row.
constexpr size_t rows_ahead = 8, line = 64 / sizeof(float);
template <size_t n>
inline void prefetch(const float* x) {
#pragma GCC unroll 4
  for (size_t i = 0; i < n; i += line) __builtin_prefetch(x + i);
}

// Reads run along x's rows, which lie together in memory.
template <size_t n>
void copy_tiles(const float* x, size_t x_step, size_t depth, size_t tiles, float* out) {
  for (size_t d = 0; d < depth; d++, x += x_step)
    for (size_t t = 0; t < tiles; t++) {
      prefetch<n>(x + rows_ahead * x_step + t * n);
      __builtin_memcpy(out + (t * depth + d) * n, x + t * n, n * sizeof(float));
    }
}

template <class V, size_t vectors, GemmKernel::Transpose transpose, size_t... row>
constexpr GemmKernel float_kernel(std::index_sequence<row...>) {
  constexpr size_t rows = sizeof...(row);
  return {1, rows, vectors * V::lanes, {tile<V, row + 1, vectors, false, rows>...}, {tile<V, row + 1, vectors, true, rows>...},
          copy_tiles<vectors * V::lanes>, copy_tiles<rows>, transpose, nullptr};
}

// To the nearest bf16, of two the even one; what is no number stays none.
inline void round_all(float* x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    const bool number = (bits & 0x7fffffff) <= 0x7f800000;
    bits = (number ? bits + 0x7fff + (bits >> 16 & 1) : bits | 0x400000) & 0xffff0000;
    __builtin_memcpy(x + i, &bits, sizeof bits);
  }
}

template <GemmKernel::Copy copy, size_t n>
void rounded_copy(const float* x, size_t x_step, size_t depth, size_t tiles, float* out) {
  copy(x, x_step, depth, tiles, out);
  round_all(out, tiles * depth * n);
}

template <GemmKernel::Transpose transpose, size_t columns>
void rounded_transpose(const float* w, size_t w_row, size_t depth, float* out) {
  transpose(w, w_row, depth, out);
  round_all(out, depth * columns);
}

inline void rounded_rows(const float* a, size_t a_row, size_t depth, size_t rows, float* out) {
  for (size_t i = 0; i < rows; i++, a += a_row, out += depth) {
    __builtin_memcpy(out, a, depth * sizeof(float));
    round_all(out, depth);
  }
}

// The same tiles where there are no instructions for bf16: its numbers as floats, whose products are exact.
template <class V, size_t vectors, GemmKernel::Transpose transpose, size_t... row>
constexpr GemmKernel rounded_kernel(std::index_sequence<row...> all) {
  constexpr size_t rows = sizeof...(row), columns = vectors * V::lanes;
  GemmKernel out = float_kernel<V, vectors, transpose>(all);
  out.copy_columns = rounded_copy<copy_tiles<columns>, columns>;
  out.copy_rows = rounded_copy<copy_tiles<rows>, rows>;
  out.transpose = rounded_transpose<transpose, columns>;
  out.copy_in_rows = rounded_rows;
  return out;
}

}  // namespace
}  // namespace moiety
