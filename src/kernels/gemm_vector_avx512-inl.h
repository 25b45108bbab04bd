// A vector of 16 words for tiles of gemm.cc on AVX-512.
#include <immintrin.h>

#include <cstddef>

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
}  // namespace moiety
