// Packing numbers rounded to bf16, two neighbours along k to a word, for kernels compiled with -mavx512bf16.
#include <immintrin.h>

#include <cstddef>

#include "kernels/gemm_kernel-inl.h"
#include "kernels/gemm_transpose-inl.h"

namespace moiety {
namespace {

constexpr size_t word_lanes = 16;

size_t words(size_t depth) { return (depth + 1) / 2; }

__mmask16 first(size_t count) { return static_cast<__mmask16>((1u << (count < word_lanes ? count : word_lanes)) - 1); }

// x[0, word_lanes) in the lower halves of words, y[0, word_lanes) in the upper ones.
__m512i pairs(__m512 x, __m512 y) {
  const __m512i both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x));
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, both);
}

template <size_t n>
void pair_tiles(const float* x, size_t x_step, size_t depth, size_t tiles, float* out) {
  const size_t deep = words(depth);
  for (size_t d = 0; d < deep; d++, x += 2 * x_step)
    for (size_t t = 0; t < tiles; t++)
      for (size_t j = 0; j < n; j += word_lanes) {
        const __mmask16 there = first(n - j);
        const float* at = x + t * n + j;
        prefetch<1>(at + rows_ahead * x_step), prefetch<1>(at + (rows_ahead + 1) * x_step);
        const __m512 next = 2 * d + 1 < depth ? _mm512_maskz_loadu_ps(there, at + x_step) : _mm512_setzero_ps();
        _mm512_mask_storeu_epi32(out + (t * deep + d) * n + j, there, pairs(_mm512_maskz_loadu_ps(there, at), next));
      }
}

template <size_t columns>
void pair_transpose(const float* w, size_t w_row, size_t depth, float* out) {
  for (size_t d = 0; d < depth; d += word_lanes) {
    const __mmask16 there = first(depth - d);
    for (size_t j = 0; j < columns; j += 8) {
      __m256 r[8];  // 8 words of each column
      for (size_t i = 0; i < 8; i++) r[i] = reinterpret_cast<__m256>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(there, w + (j + i) * w_row + d)));
      if (depth - d >= word_lanes) {
        transpose8(r, out + d / 2 * columns + j, columns);
        continue;
      }
      float rest[8 * 8];
      transpose8(r, rest, 8);
      for (size_t i = 0; i < words(depth - d); i++) __builtin_memcpy(out + (d / 2 + i) * columns + j, rest + i * 8, 8 * sizeof(float));
    }
  }
}

void pair_rows(const float* a, size_t a_row, size_t depth, size_t count, float* out) {
  for (size_t i = 0; i < count; i++, a += a_row, out += words(depth))
    for (size_t d = 0; d < depth; d += 2 * word_lanes) {
      const size_t rest = depth - d;
      const __m512 x = _mm512_maskz_loadu_ps(first(rest), a + d), y = rest > word_lanes ? _mm512_maskz_loadu_ps(first(rest - word_lanes), a + d + word_lanes) : _mm512_setzero_ps();
      _mm512_mask_storeu_epi32(out + d / 2, first(words(rest)), reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(y, x)));
    }
}

}  // namespace
}  // namespace moiety
