// Compiled with -mavx2 -mfma. 12 of 16 registers hold sums.
#include <immintrin.h>

#include "kernels/gemm_kernel-inl.h"
#include "kernels/gemm_transpose-inl.h"

namespace moiety {
namespace {

struct Avx2 {
  static constexpr size_t lanes = 8;
  using Vector = __m256;
  static Vector zero() { return _mm256_setzero_ps(); }
  static Vector all(const float* p) { return _mm256_broadcast_ss(p); }
  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Vector x) { _mm256_storeu_ps(p, x); }
  static Vector plus(Vector x, Vector y) { return _mm256_add_ps(x, y); }
  static Vector fused(Vector x, Vector y, Vector z) { return _mm256_fmadd_ps(x, y, z); }
};

}  // namespace
const GemmKernel gemm_kernel_avx2 = float_kernel<Avx2, 2, transpose<16>>(std::make_index_sequence<6>());
const GemmKernel gemm_rounded_kernel_avx2 = rounded_kernel<Avx2, 2, transpose<16>>(std::make_index_sequence<6>());
}  // namespace moiety
