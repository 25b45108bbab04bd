// What every machine runs: vectors of four, products and sums rounded apart.
#include "kernels/gemm_kernel-inl.h"

namespace moiety {
namespace {

struct Portable {
  static constexpr size_t lanes = 4;
  using Vector [[gnu::vector_size(16)]] = float;
  using Unaligned [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;
  static Vector zero() { return Vector{}; }
  static Vector all(const float* p) { return Vector{*p, *p, *p, *p}; }
  static Vector load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  static void store(float* p, Vector x) { *reinterpret_cast<Unaligned*>(p) = x; }
  static Vector plus(Vector x, Vector y) { return x + y; }
  static Vector fused(Vector x, Vector y, Vector z) { return x * y + z; }
};

constexpr size_t columns = 8;
void transpose(const float* w, size_t w_row, size_t depth, float* out) {
  for (size_t d = 0; d < depth; d++)
    for (size_t j = 0; j < columns; j++) out[d * columns + j] = w[j * w_row + d];
}

}  // namespace
const GemmKernel gemm_kernel_portable = float_kernel<Portable, columns / Portable::lanes, transpose>(std::make_index_sequence<4>());
const GemmKernel gemm_rounded_kernel_portable = rounded_kernel<Portable, columns / Portable::lanes, transpose>(std::make_index_sequence<4>());
}  // namespace moiety
