// Compiled with -mavx512f and its kin. 24 of 32 registers hold sums.
#include <immintrin.h>

#include "kernels/gemm_kernel-inl.h"
#include "kernels/gemm_transpose-inl.h"

namespace moiety {
namespace {

struct Avx512 {
  static constexpr size_t lanes = 16;
  using Vector = __m512;
  static Vector zero() { return _mm512_setzero_ps(); }
  static Vector all(const float* p) { return _mm512_set1_ps(*p); }
  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Vector x) { _mm512_storeu_ps(p, x); }
  static Vector plus(Vector x, Vector y) { return _mm512_add_ps(x, y); }
  static Vector fused(Vector x, Vector y, Vector z) { return _mm512_fmadd_ps(x, y, z); }
};

}  // namespace
const GemmKernel gemm_kernel_avx512 = float_kernel<Avx512, 2, transpose<32>>(std::make_index_sequence<12>());
const GemmKernel gemm_rounded_kernel_avx512 = rounded_kernel<Avx512, 2, transpose<32>>(std::make_index_sequence<12>());
}  // namespace moiety
