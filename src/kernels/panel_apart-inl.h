// Many rows times a panel: a few columns are taken apart once, to bytes and floats in the first-level cache, and all rows pass by them, a tile at
// a time. The sums are Tile's, in its order, and so have its bits.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/panel_tile-inl.h"

namespace moiety {
namespace {

template <class V, PanelFormat f>
struct ApartTiles {
  using Few = Tile<V, f>;
  using F = typename V::F;
  static constexpr int halves = Few::halves, subs = 32 / f.sub;
  // How many rows it pays for, on instruction sets where it does: more than the largest tile where codes lie in two planes or scales are many, some more where codes
  // are looked up. Where a shift and a mask are all that it takes, it never does.
  static constexpr size_t from = !V::takes_apart || f.at_use ? SIZE_MAX : Few::costly ? Few::last_tokens + 1
                               : f.codes == Codes::curve || f.codes == Codes::fp4 ? 4 * Few::tokens : SIZE_MAX;
  static constexpr size_t together = 256;  // columns
  // Of large types memory is asked for while rows pass by; small ones have so little to ask for that it is not worth the instructions there.
  static constexpr bool in_steps = f.low_bits + f.high_bits > 4;
  static_assert(together % f.columns == 0);

  // 32 columns.
  struct alignas(64) Block {
    std::byte bytes[8][64];
    float scales[subs][panel_rows], factors[Few::has_factor ? subs : 1][panel_rows];
    template <int g, int n>
    [[gnu::always_inline]] typename V::B codes() const { return V::load(bytes[g] + n * 4 * V::lanes); }
    template <int n, int sub>
    [[gnu::always_inline]] F scale() const { return V::floats_at(reinterpret_cast<const std::byte*>(scales[sub] + n * V::lanes)); }
    template <int n, int sub>
    [[gnu::always_inline]] F factor(F) const { return V::floats_at(reinterpret_cast<const std::byte*>(factors[sub] + n * V::lanes)); }
  };

  static void take_apart(const std::byte* panel, const Stream& stream, size_t cols, Block* out) {
    const std::conditional_t<in_steps, Unasked, Stream> asked(stream);
    Few::template each_columns<1>(&panel, &asked, cols, [&](const auto& resting, size_t block) __attribute__((always_inline)) {
      unrolled<halves>([&](auto n) __attribute__((always_inline)) {
        constexpr int h = decltype(n)::value;
        unrolled<8>([&](auto g) __attribute__((always_inline)) {
          V::store_bytes(out[block].bytes[g.value] + h * 4 * V::lanes, resting.template codes<decltype(g)::value, h>());
        });
        unrolled<subs>([&](auto sub) __attribute__((always_inline)) {
          constexpr int s = decltype(sub)::value;
          const F scale = resting.template scale<h, s>();
          V::store(out[block].scales[s] + h * V::lanes, scale);
          if constexpr (Few::has_factor) V::store(out[block].factors[s] + h * V::lanes, resting.template factor<h, s>(scale));
        });
      });
    });
  }

  // Adds the products of `count` blocks, the first of which is number `block` of a row, to `out`. A block is a step ahead, from `step` on.
  template <int T>
  [[gnu::noinline]] static void add(const Block* columns, size_t block, size_t count, const void* const* rows, const StepsAhead<V>& ahead, size_t step,
                                    PairOutputs* out, size_t row) {
    const Q8Block *first[T], *x[T];
    F sums[halves * T];
    unrolled<T>([&](auto t) __attribute__((always_inline)) { first[t.value] = static_cast<const Q8Block*>(rows[t.value]) + block; });
    const auto sum_at = [&](int i) __attribute__((always_inline)) { return out[i / halves] + row + i % halves * V::lanes; };
    unrolled<halves * T>([&](auto i) __attribute__((always_inline)) {
      sums[i.value] = block == 0 ? V::zero() : V::floats_at(reinterpret_cast<const std::byte*>(sum_at(i.value)));
    });
    for (size_t b = 0; b < count; b++) {
      if constexpr (in_steps) ahead.ask(step + b);
      unrolled<T>([&](auto t) __attribute__((always_inline)) { x[t.value] = first[t.value] + b; });
      Few::template columns32<halves, T>(columns[b], x, sums);
    }
    unrolled<halves * T>([&](auto i) __attribute__((always_inline)) { V::store(sum_at(i.value), sums[i.value]); });
  }

  static void rows(const std::byte* panel, const Stream& stream, size_t cols, const void* const* x, size_t tokens, PairOutputs* out, size_t row) {
    Block columns[together / 32];
    const size_t tiles = tiles_of<Few::tokens, Few::last_tokens>(tokens);
    for (size_t c = 0, count; c < cols; c += count) {
      count = std::min(together, cols - c);
      take_apart(panel, stream, count, columns);
      const StepsAhead<V> ahead(stream, panel, Few::bytes(count), tiles * (count / 32));
      each_tile<Few::tokens, Few::last_tokens>(tokens, [&](auto tile, size_t t) {
        add<decltype(tile)::value>(columns, c / 32, count / 32, x + t, ahead, t / Few::tokens * (count / 32), out + t, row);
      });
      panel += Few::bytes(count);
    }
  }
};

}  // namespace
}  // namespace moiety
