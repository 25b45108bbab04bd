// A panel of floats times rows of activations: few rows, or many.
#pragma once
#include <algorithm>
#include <cstddef>

#include "kernels/panel_tile-inl.h"

namespace moiety {
namespace {

// Floats: column by column in four sums of each row, columns c % 4 each, added at the end as (0 + 1) + (2 + 3).
using FourSums = float[4][panel_rows];
inline void add_four(const FourSums* sums, size_t count, PairOutputs* out, size_t row) {
  for (size_t t = 0; t < count; t++)
    for (size_t r = 0; r < panel_rows; r++) out[t][row + r] = (sums[t][0][r] + sums[t][1][r]) + (sums[t][2][r] + sums[t][3][r]);
}

template <class V, TensorType type>
struct FloatTile {
  using F = typename V::F;
  static constexpr size_t size = type == TensorType::f32 ? 4 : 2;
  static constexpr int paired = 0, streamed = 0, tokens = V::float_tokens, last_tokens = tokens;

  static size_t bytes(size_t cols) { return cols * panel_rows * size; }
  static F floats_of(const std::byte* at) { return type == TensorType::f32 ? V::floats_at(at) : type == TensorType::f16 ? V::halves(at) : V::bfloats(at); }

  // Columns [begin, end), `begin` a multiple of 4.
  template <int T, int H>
  [[gnu::always_inline]] static void half(const std::byte* panel, const Stream& stream, size_t begin, size_t end, const void* const* rows,
                                          FourSums* sum) {
    const float* x[T];
    F sums[T][4];
    for (int t = 0; t < T; t++) {
      x[t] = static_cast<const float*>(rows[t]);
      for (int k = 0; k < 4; k++)
        sums[t][k] = begin == 0 ? V::zero() : V::floats_at(reinterpret_cast<const std::byte*>(sum[t][k] + H * V::lanes));
    }
    const std::byte* at = panel + bytes(begin) + H * V::lanes * size;
    auto column = [&](size_t c, int k) __attribute__((always_inline)) {
      const F w = floats_of(at);
      at += panel_rows * size;
      for (int t = 0; t < T; t++) sums[t][k] = V::fused(w, V::all(x[t][c]), sums[t][k]);
    };
    size_t c = begin;
    for (; c + 4 <= end; c += 4) {
      if constexpr (T <= 2 && H == 0) stream.template ask<V>(at, 4 * panel_rows * size);
      column(c, 0), column(c + 1, 1), column(c + 2, 2), column(c + 3, 3);
    }
    for (int k = 0; c < end; c++, k++) column(c, k);
    for (int t = 0; t < T; t++)
      for (int k = 0; k < 4; k++) V::store(sum[t][k] + H * V::lanes, sums[t][k]);
  }

  // Vectors of 8 rows take turns, so many columns at a time: were each to go through the whole panel, the first would wait for memory alone and
  // the second, which finds everything in the cache, would leave memory idle.
  template <int P, int T>
  [[gnu::always_inline]] static void rows(const std::byte* const* panels, const Stream* streams, size_t cols, const void* const* x, PairOutputs* out,
                                          size_t row) {
    static_assert(P == 1);
    FourSums sum[T];
    const size_t step = V::lanes == 8 ? 64 : cols;
    for (size_t c = 0; c < cols; c += step) {
      const size_t end = std::min(cols, c + step);
      half<T, 0>(*panels, *streams, c, end, x, sum);
      if constexpr (V::lanes == 8) half<T, 1>(*panels, *streams, c, end, x, sum);
    }
    add_four(sum, T, out, row);
  }
};

// Many rows: some columns become float32 once, in the first-level cache, and all rows pass by them, a tile at a time. Of the four sums one is made after
// the other, so that the registers have room for more rows, and less is loaded for a product. The sums are FloatTile's, in its order, and so have its bits.
template <class V, TensorType type>
struct FloatsApart {
  using Few = FloatTile<V, type>;
  using F = typename V::F;
  static constexpr int halves = int(panel_rows) / V::lanes, tokens = 6;
  static constexpr size_t from = V::lanes == 8 ? 4 : SIZE_MAX;  // rows that it pays for; larger vectors have registers enough
  static constexpr size_t together = 128;                        // columns

  // Adds the products of `count` columns, the first of which is number `column` of a row.
  template <int T>
  [[gnu::noinline]] static void add(const float* columns, size_t column, size_t count, const void* const* rows, FourSums* sums) {
    const float* x[T];
    unrolled<T>([&](auto t) __attribute__((always_inline)) { x[t.value] = static_cast<const float*>(rows[t.value]) + column; });
    for (size_t k = 0; k < 4; k++) {
      F sum[halves * T];
      const auto sum_at = [&](int i) __attribute__((always_inline)) { return sums[i / halves][k] + i % halves * V::lanes; };
      unrolled<halves * T>([&](auto i) __attribute__((always_inline)) {
        sum[i.value] = column == 0 ? V::zero() : V::floats_at(reinterpret_cast<const std::byte*>(sum_at(i.value)));
      });
      for (size_t c = k; c < count; c += 4) {
        F w[halves];
        unrolled<halves>([&](auto h) __attribute__((always_inline)) {
          w[h.value] = V::kept(V::floats_at(reinterpret_cast<const std::byte*>(columns + c * panel_rows + h.value * V::lanes)));
        });
        unrolled<T>([&](auto t) __attribute__((always_inline)) {
          const F number = V::kept(V::all(x[t.value][c]));
          unrolled<halves>([&](auto h) __attribute__((always_inline)) {
            constexpr int i = decltype(t)::value * halves + decltype(h)::value;
            sum[i] = V::fused(w[h.value], number, sum[i]);
          });
        });
      }
      unrolled<halves * T>([&](auto i) __attribute__((always_inline)) { V::store(sum_at(i.value), sum[i.value]); });
    }
  }

  static void rows(const std::byte* panel, const Stream& stream, size_t cols, const void* const* x, size_t count, PairOutputs* out, size_t row) {
    alignas(64) float columns[together * panel_rows];
    alignas(64) FourSums sums[panel_tile];
    for (size_t c = 0; c < cols; c += together) {
      const size_t wide = std::min(together, cols - c);
      for (size_t i = 0; i < wide; i++) {
        if (i % 4 == 0) stream.template ask<V>(panel, 4 * panel_rows * Few::size);
        for (int h = 0; h < halves; h++, panel += V::lanes * Few::size) V::store(columns + i * panel_rows + h * V::lanes, Few::floats_of(panel));
      }
      each_even_tile<tokens>(count, [&](auto tile, size_t t) { add<decltype(tile)::value>(columns, c, wide, x + t, sums + t); });
    }
    add_four(sums, count, out, row);
  }
};

}  // namespace
}  // namespace moiety
