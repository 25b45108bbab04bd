// Compiled with -mavx512f and its kin, -mavx512bf16, -mamx-tile and -mamx-bf16. Matrix tiles multiply 16 rows by 16 words of A with 16 words by
// 16 columns of B at once; numbers too small for a normal float count as zero, in and out.
#include "kernels/gemm_pairs-inl.h"

namespace moiety {
namespace {

constexpr size_t side = 16, rows = 2 * side, columns = 2 * side, line_bytes = side * sizeof(float);
static_assert(rows <= GemmKernel::most_rows && columns <= GemmKernel::most_columns);

// How large each of the 8 tiles is: the operand of LDTILECFG.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// C's tiles are 0 to 3, A's two from 4 on, B's from 6 on. (g++'s own functions for these do not say that they read memory.)
constexpr int a_tile = 4, b_tile = 6;
template <int tile>
[[gnu::always_inline]] inline void load_tile(const float* at, size_t row) {
  asm volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(tile), "r"(at), "r"(row * sizeof(float)) : "memory");
}
template <int tile>
[[gnu::always_inline]] inline void store_tile(float* at, size_t row) {
  asm volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(tile), "r"(at), "r"(row * sizeof(float)) : "memory");
}
template <int sum, int a, int b>
[[gnu::always_inline]] inline void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
}

// `deep` words of k at a time, `steps` times.
template <size_t count>
[[gnu::always_inline]] inline void steps_of(const float* a, size_t a_row, const float* b, size_t deep, size_t steps, float* c, size_t c_row, bool add) {
  constexpr bool two = count > side;
  TileShapes shapes;
  for (int i = 0; i < 8; i++) {
    const bool second = i == 2 || i == 3 || i == a_tile + 1;
    shapes.rows[i] = uint8_t(i >= b_tile ? deep : second ? (two ? count - side : 1) : two ? side : count);
    shapes.row_bytes[i] = uint16_t(i >= a_tile && i < b_tile ? deep * sizeof(float) : line_bytes);
  }
  asm volatile("ldtilecfg %0" : : "m"(shapes));  // which clears the tiles
  if (add) {
    load_tile<0>(c, c_row), load_tile<1>(c + side, c_row);
    if constexpr (two) load_tile<2>(c + side * c_row, c_row), load_tile<3>(c + side * c_row + side, c_row);
  }
  for (size_t step = 0; step < steps; step++, a += deep, b += deep * columns) {
    load_tile<a_tile>(a, a_row);
    load_tile<b_tile>(b, columns), load_tile<b_tile + 1>(b + side, columns);
    multiply_tiles<0, a_tile, b_tile>(), multiply_tiles<1, a_tile, b_tile + 1>();
    if constexpr (two) {
      load_tile<a_tile + 1>(a + side * a_row, a_row);
      multiply_tiles<2, a_tile + 1, b_tile>(), multiply_tiles<3, a_tile + 1, b_tile + 1>();
    }
  }
  store_tile<0>(c, c_row), store_tile<1>(c + side, c_row);
  if constexpr (two) store_tile<2>(c + side * c_row, c_row), store_tile<3>(c + side * c_row + side, c_row);
  asm volatile("tilerelease");
}

template <size_t count, bool packed>
void tile(const float* a, size_t a_row, const float* b, size_t depth, float* c, size_t c_row, bool add) {
  if (packed) a_row = depth;
  const size_t whole = depth / side, rest = depth % side;
  if (whole > 0) steps_of<count>(a, a_row, b, side, whole, c, c_row, add);
  if (rest > 0) steps_of<count>(a + whole * side, a_row, b + whole * side * columns, rest, 1, c, c_row, add || whole > 0);
}

// Packed rows of A lie one after another, as tiles take them: out[t][i][..].
void pair_rows_of_tiles(const float* x, size_t x_step, size_t depth, size_t tiles, float* out) {
  const size_t deep = words(depth);
  for (size_t d = 0; d < deep; d += 8)
    for (size_t t = 0; t < tiles; t++)
      for (size_t j = 0; j < rows; j += 8) {
        __m256 r[8];  // a word of 8 rows each
        for (size_t i = 0; i < 8; i++) {
          const size_t k = 2 * (d + i);
          const float* at = x + k * x_step + t * rows + j;
          __builtin_prefetch(at + 16 * x_step), __builtin_prefetch(at + 17 * x_step);
          const __mmask16 first_there = k < depth ? 0xff : 0, next_there = k + 1 < depth ? 0xff : 0;
          r[i] = _mm512_castps512_ps256(reinterpret_cast<__m512>(pairs(_mm512_maskz_loadu_ps(first_there, at), _mm512_maskz_loadu_ps(next_there, at + x_step))));
        }
        float* to = out + (t * rows + j) * deep + d;
        if (deep - d >= 8) {
          transpose8(r, to, deep);
          continue;
        }
        float few[8 * 8];
        transpose8(r, few, 8);
        for (size_t i = 0; i < 8; i++) __builtin_memcpy(to + i * deep, few + i * 8, (deep - d) * sizeof(float));
      }
}

template <size_t... row>
constexpr GemmKernel amx_kernel(std::index_sequence<row...>) {
  return {2, rows, columns, {tile<row + 1, false>...}, {tile<row + 1, true>...}, pair_tiles<columns>, pair_rows_of_tiles, pair_transpose<columns>, pair_rows};
}

}  // namespace
const GemmKernel gemm_kernel_amx = amx_kernel(std::make_index_sequence<rows>());
}  // namespace moiety
