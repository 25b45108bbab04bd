// Columns side by side, for instruction sets with AVX: 8 by 8 numbers at once, in registers.
#include <immintrin.h>

#include <cstddef>

namespace moiety {
namespace {

// out[d][j] = r[j][d], d < 8, j < 8.
inline void transpose8(const __m256 (&r)[8], float* out, size_t out_row) {
  __m256 pair[8], four[8];
  for (size_t i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);      // d 0 and 1 | 4 and 5 of two columns
    pair[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);  // d 2 and 3 | 6 and 7
  }
  for (size_t i = 0; i < 8; i += 4) {
    four[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);          // d 0 | 4 of four columns
    four[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);      // d 1 | 5
    four[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);  // d 2 | 6
    four[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);  // d 3 | 7
  }
  for (size_t d = 0; d < 4; d++) {
    _mm256_storeu_ps(out + d * out_row, _mm256_permute2f128_ps(four[d], four[d + 4], 0x20));
    _mm256_storeu_ps(out + (d + 4) * out_row, _mm256_permute2f128_ps(four[d], four[d + 4], 0x31));
  }
}

template <size_t columns>
void transpose(const float* w, size_t w_row, size_t depth, float* out) {
  size_t d = 0;
  for (; d + 8 <= depth; d += 8)
    for (size_t j = 0; j < columns; j += 8) {
      __m256 r[8];
      for (size_t i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(w + (j + i) * w_row + d);
      transpose8(r, out + d * columns + j, columns);
    }
  for (; d < depth; d++)
    for (size_t j = 0; j < columns; j++) out[d * columns + j] = w[j * w_row + d];
}

}  // namespace
}  // namespace moiety
