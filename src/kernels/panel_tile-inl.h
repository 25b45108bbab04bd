// A tile: a few rows of activations times a panel of quantised weights, or two panels, 32 columns at a time. Written once over a vector type V;
// nothing here may instantiate code that other files share: it would carry instructions they must not run.
//
// V has `lanes` (16 or 8) rows of a panel; `halves` of 8 lanes make up its 16 rows. A tile has `tokens` rows of activations, the last up to `last_tokens`.
//   B  bytes: code 4 r + k of row r     I  a sum for each row     S  what a chain of byte products is kept in     F  a float for each row
// Two panels meet up to `paired` rows of activations at once where they lie in the cache, and, on cores that read two streams faster than one, up to
// `streamed` rows where they come from memory (`streamed_costly` of types that take long to take apart). `in_order`: there are registers for all lines
// of 32 columns.
//
// What is done for each row of activations beside the byte products decides the speed, since it takes the same ports. So a sum starts at
// q8_start, whose bits are a float's whose unit is 1: after the products the sum is that float already, and one fused multiply-add
// scales it and takes the start away again, exactly (kernels/q8_rows.h). Offsets of codes join the start where a block has that ready,
// and the minima's way of being subtracted where not.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/ask_ahead.h"
#include "kernels/panel_kernel.h"

namespace moiety {
namespace {

template <int N>
struct Index {
  static constexpr int value = N;
};

// Calls f with Index<0> ... Index<N - 1>, unrolled: shifts need their count when compiling.
template <int N, class Function>
[[gnu::always_inline]] inline void unrolled(Function&& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) { (f(Index<i>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}

// Calls f with Index<count>, for 1 to `most`; of 0 nothing.
template <int most, class Function>
void with_index(size_t count, Function&& f) {
  if constexpr (most > 0) {
    if (count == most) f(Index<most>{});
    else with_index<most - 1>(count, f);
  }
}

// How many tiles each_tile makes of so many rows.
template <int most, int last>
size_t tiles_of(size_t rows) { return rows <= last ? 1 : (rows - last + most - 1) / most + 1; }

// Calls f(Index<T>, t) for rows [t, t + T): tiles of `most` rows, then one of what is left, which may be up to `last`.
template <int most, int last, class Function>
void each_tile(size_t rows, Function&& f) {
  size_t t = 0;
  for (; rows - t > last; t += most) f(Index<most>{}, t);
  with_index<last>(rows - t, [&](auto count) { f(count, t); });
}

// The same with as few tiles, but about as many rows in each.
template <int most, class Function>
void each_even_tile(size_t rows, Function&& f) {
  for (size_t t = 0, some; t < rows; t += some) {
    const size_t tiles = (rows - t + most - 1) / most;
    some = (rows - t + tiles - 1) / tiles;
    with_index<most>(some, [&](auto count) { f(count, t); });
  }
}

// IQ4's curve, and 4-bit floats doubled and moved by 12, both as bytes for a table lookup.
constexpr int8_t curve_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t fp4_table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// A panel as it streams by: the lines that come in a while are asked for now, the next panel's at the end of this one.
struct Stream {
  static constexpr size_t near = 1024;
  const std::byte *end, *next;
  AskWeights ahead;
  template <class V>
  [[gnu::always_inline]] void ask(const std::byte* now, size_t bytes) const {
    const std::byte* later = now + ahead.bytes;
    if (later >= end) later = next + (later - end);
    if (ahead.into == Ask::first) return V::template ask<1>(later, bytes);
    V::template ask<2>(later, bytes);
    if (ahead.into == Ask::both) V::template ask<1>(now + near, bytes);
  }
};
// One of which nothing is asked for.
struct Unasked {
  explicit Unasked(const Stream&) {}
  template <class V>
  [[gnu::always_inline]] void ask(const std::byte*, size_t) const {}
};
// What a stream brings after some columns, asked for in steps while rows pass by them: all of it at once would wait for itself, and memory rest afterwards.
template <class V>
struct StepsAhead {
  Stream stream;
  const std::byte* columns;
  size_t step;  // bytes
  StepsAhead(const Stream& stream, const std::byte* columns, size_t bytes, size_t steps)
      : stream(stream), columns(columns), step((bytes / steps + 63) / 64 * 64) {
    if (stream.ahead.bytes < bytes) this->stream.ahead.bytes = bytes;
  }
  [[gnu::always_inline]] void ask(size_t number) const { stream.template ask<V>(columns + number * step, step); }
};

template <class V, PanelFormat f>
struct Tile {
  using B = typename V::B;
  using F = typename V::F;
  // On instruction sets that multiply unsigned by signed bytes exactly, signed codes move up by 128.
  static constexpr bool moved = f.is_signed() && V::exact;
  static constexpr int offset = moved ? 128 : f.offset;
  static constexpr int start = f.sub == 32 ? q8_start_for(offset) : -1;  // which of a block's starts has this offset
  static constexpr bool subtracts_offset = offset != 0 && start < 0;
  static constexpr int per_sub = f.sub / 4;  // groups of four columns
  static constexpr int tokens = V::tokens, last_tokens = V::last_tokens;
  static constexpr bool costly = f.high_bits > 0 || f.sub < 32;  // codes lie in two planes, or scales are many
  static constexpr int halves = int(panel_rows) / V::lanes, paired = V::paired, streamed = costly ? V::streamed_costly : V::streamed;
  // Byte products add up in 16 bits this many at a time: 2 * 127 * largest * chain stays below 2^15.
  static constexpr int longest = f.largest() > 64 ? 1 : f.largest() > 32 ? 2 : f.largest() > 16 ? 4 : 8;
  static constexpr int chain = V::exact ? 1 : longest < per_sub ? longest : per_sub;

  // Where the bits of group g lie in a plane of so many bits: the line of 64 bytes, bits from the right.
  static constexpr int plane_line(int bits, int g) { return bits == 8 ? g : bits == 4 ? g % 4 : bits == 2 ? g / 4 : 0; }
  static constexpr int plane_bit(int bits, int g) { return bits == 8 ? 0 : bits == 4 ? 4 * (g / 4) : bits == 2 ? 2 * (g % 4) : g; }

  // The codes of group g; line(Index<i>) are 64 bytes, or half of them, of 32 columns.
  static constexpr int lines = f.low_bits + f.high_bits;
  template <int g, class Line>
  [[gnu::always_inline]] static B codes(Line&& line) {
    constexpr int low_mask = (1 << f.low_bits) - 1;
    B out = V::template down<plane_bit(f.low_bits, g)>(line(Index<plane_line(f.low_bits, g)>{}));
    if constexpr (f.high_bits > 0) {
      constexpr int bit = plane_bit(f.high_bits, g) - f.low_bits, high_mask = ((1 << f.high_bits) - 1) << f.low_bits;
      const B high = line(Index<f.low_bits + plane_line(f.high_bits, g)>{});
      if constexpr (bit < 0) out = V::template joined<low_mask, high_mask>(out, V::template up<-bit>(high));
      else out = V::template joined<low_mask, high_mask>(out, V::template down<bit>(high));
    } else if constexpr (f.low_bits < 8) {
      out = V::mask(out, char(low_mask));
    }
    if constexpr (f.codes == Codes::doubled) out = V::template up<1>(out);
    if constexpr (f.codes == Codes::curve) out = V::lookup(curve_table, out);
    if constexpr (f.codes == Codes::fp4) out = V::lookup(fp4_table, out);
    if constexpr (moved) out = V::flip_top(out);
    return out;
  }

  template <int H>
  [[gnu::always_inline]] static F scale_of(const std::byte* block, F d, int sub) {
    const std::byte* at = block + f.scales_at() + (sub * int(panel_rows) + H * V::lanes) * f.scale_bytes();
    if constexpr (f.scales == ScaleCodes::none) return d;
    else if constexpr (f.scales == ScaleCodes::unsigned_byte) return V::times(d, V::unsigned_bytes(at));
    else if constexpr (f.scales == ScaleCodes::signed_byte) return V::times(d, V::signed_bytes(at));
    else if constexpr (f.scales == ScaleCodes::two_nibbles) return V::times(d, V::low_nibbles(at));
    else if constexpr (f.scales == ScaleCodes::e4m3) return V::half_e4m3(at);
    else return V::floats_at(at);
  }
  template <int H>
  [[gnu::always_inline]] static F minimum_of(const std::byte* block, F dmin, int sub) {
    const size_t row = size_t(sub) * panel_rows + H * V::lanes;
    if constexpr (f.scales == ScaleCodes::none) return dmin;
    else if constexpr (f.scales == ScaleCodes::unsigned_byte) return V::times(dmin, V::unsigned_bytes(block + f.minima_at() + row));
    else return V::times(dmin, V::high_nibbles(block + f.scales_at() + row));
  }

  // What the offset or the minimum of a sub-block is times the sum of a row's numbers there.
  static constexpr bool has_factor = f.minimum || subtracts_offset;
  static_assert(!(f.minimum && subtracts_offset));
  template <int H>
  [[gnu::always_inline]] static F factor_of(const std::byte* block, F dmin, F scale, int sub) {
    if constexpr (f.minimum) return minimum_of<H>(block, dmin, sub);
    else return V::times(scale, V::all(float(offset)));
  }

  // 32 columns of P panels as they rest, taken apart while they are used. Vector n is rows of panel n / halves.
  template <int P>
  struct Resting {
    const std::byte* const* block;  // super-blocks
    int at;                         // which 32 columns of them
    const F *d, *dmin;
    template <int n>
    [[gnu::always_inline]] B line(int i) const {
      return V::load(block[n / halves] + f.codes_at() + size_t(at) * f.group_bytes() + n % halves * 4 * V::lanes + 64 * i);
    }
    template <int g, int n>
    [[gnu::always_inline]] B codes() const {
      return Tile::codes<g>([&](auto i) __attribute__((always_inline)) { return line<n>(i.value); });
    }
    template <int n, int sub>
    [[gnu::always_inline]] F scale() const { return scale_of<n % halves>(block[n / halves], d[n], at * (32 / f.sub) + sub); }
    template <int n, int sub>
    [[gnu::always_inline]] F factor(F scale) const { return factor_of<n % halves>(block[n / halves], dmin[n], scale, at * (32 / f.sub) + sub); }
  };

  // The same of one vector, for one row of activations: all lines are loaded first, in memory's order, of which a core that reads ahead by itself reads
  // more than of the order in which products want them.
  struct InOrder : Resting<1> {
    B loaded[lines];
    [[gnu::always_inline]] explicit InOrder(const Resting<1>& resting) : Resting<1>(resting) {
      unrolled<lines>([&](auto i) __attribute__((always_inline)) {
        loaded[i.value] = resting.template line<0>(i.value);
        V::keep_place(loaded[i.value]);
      });
    }
    template <int g, int n>
    [[gnu::always_inline]] B codes() const {
      return Tile::codes<g>([&](auto i) __attribute__((always_inline)) { return loaded[i.value]; });
    }
  };

  // sums[N t + n] += the rows of vector n times 32 columns of x[t]. What is loaded of x serves all vectors.
  template <int N, int T, class Columns>
  [[gnu::always_inline]] static void columns32(const Columns& columns, const Q8Block* const* x, F* sums) {
    constexpr int subs = 32 / f.sub;
    unrolled<subs>([&](auto sub) __attribute__((always_inline)) {
      typename V::I products[N * T];
      typename V::S chained[N * T];
      unrolled<per_sub>([&](auto step) __attribute__((always_inline)) {
        constexpr int g = decltype(sub)::value * per_sub + decltype(step)::value;
        [[maybe_unused]] constexpr bool first = decltype(step)::value % chain == 0, last = decltype(step)::value % chain == chain - 1;
        constexpr bool starts = decltype(step)::value == chain - 1;  // no sooner, or the sum holds a register through the first chain
        B w[N];
        unrolled<N>([&](auto n) __attribute__((always_inline)) { w[n.value] = columns.template codes<g, decltype(n)::value>(); });
        unrolled<N * T>([&](auto i) __attribute__((always_inline)) {
          constexpr int t = decltype(i)::value / N, n = decltype(i)::value % N;
          if constexpr (starts) {
            if constexpr (start >= 0) products[i.value] = V::whole(x[t]->starts[start]);
            else products[i.value] = V::whole(q8_start);
          }
          if constexpr (f.is_signed() && !moved) V::add_signed(products[i.value], w[n], x[t]->q + 4 * g);
          else V::template add<first, last>(products[i.value], chained[i.value], w[n], x[t]->q + 4 * g);
        });
      });
      F scale[N];
      unrolled<N>([&](auto n) __attribute__((always_inline)) { scale[n.value] = columns.template scale<decltype(n)::value, decltype(sub)::value>(); });
      unrolled<N * T>([&](auto i) __attribute__((always_inline)) {
        constexpr int t = decltype(i)::value / N, n = decltype(i)::value % N;
        sums[i.value] = V::fused(V::scaled(products[i.value], x[t]->scale, x[t]->scaled_start), scale[n], sums[i.value]);
      });
      if constexpr (has_factor) {
        F factor[N];
        unrolled<N>([&](auto n) __attribute__((always_inline)) {
          factor[n.value] = columns.template factor<decltype(n)::value, decltype(sub)::value>(scale[n.value]);
        });
        unrolled<N * T>([&](auto i) __attribute__((always_inline)) {
          constexpr int t = decltype(i)::value / N, n = decltype(i)::value % N;
          const F whole = V::all(subs == 1 ? x[t]->scaled_whole : x[t]->scaled_sum[sub.value]);
          sums[i.value] = f.minimum && !f.minimum_subtracted ? V::fused(factor[n], whole, sums[i.value]) : V::fused_less(factor[n], whole, sums[i.value]);
        });
      }
    });
  }

  static size_t bytes(size_t cols) { return cols / f.columns * f.bytes(); }

  // Calls use(Resting<P>, block) for each 32 columns of P panels, as they stream by.
  template <int P, class AnyStream, class Function>
  [[gnu::always_inline]] static void each_columns(const std::byte* const* panels, const AnyStream* streams, size_t cols, Function&& use) {
    constexpr int N = P * halves;
    const std::byte* panel[P];
    F d[N], dmin[N];
    unrolled<P>([&](auto p) __attribute__((always_inline)) { panel[p.value] = panels[p.value]; });
    for (size_t c = 0, block = 0; c < cols; c += f.columns) {
      unrolled<P>([&](auto p) __attribute__((always_inline)) { streams[p.value].template ask<V>(panel[p.value], f.codes_at()); });
      unrolled<N>([&](auto n) __attribute__((always_inline)) {
        constexpr int h = decltype(n)::value % halves;
        const std::byte* at = panel[n.value / halves];
        d[n.value] = f.d == BlockScale::none ? V::zero() : f.d == BlockScale::exponent ? V::exponents(at + h * V::lanes) : V::halves(at + h * 2 * V::lanes);
        dmin[n.value] = f.minimum ? V::halves(at + f.minimum_at() + h * 2 * V::lanes) : d[n.value];
      });
      for (int at = 0; at < f.columns / 32; at++, block++) {
        unrolled<P>([&](auto p) __attribute__((always_inline)) {
          streams[p.value].template ask<V>(panel[p.value] + f.codes_at() + at * f.group_bytes(), f.group_bytes());
        });
        use(Resting<P>{panel, at, d, dmin}, block);
      }
      unrolled<P>([&](auto p) __attribute__((always_inline)) { panel[p.value] += f.bytes(); });
    }
  }

  // Rows are reached by one growing index: pointers that grow each would be a vector to the compiler, which goes through memory.
  template <int P, int T>
  [[gnu::always_inline]] static void rows(const std::byte* const* panels, const Stream* streams, size_t cols, const void* const* rows, PairOutputs* out,
                                          size_t row) {
    constexpr int N = P * halves;
    const Q8Block *first[T], *x[T];
    F sums[N * T];
    unrolled<T>([&](auto t) __attribute__((always_inline)) { first[t.value] = static_cast<const Q8Block*>(rows[t.value]); });
    unrolled<N * T>([&](auto i) __attribute__((always_inline)) { sums[i.value] = V::zero(); });
    each_columns<P>(panels, streams, cols, [&](const Resting<P>& columns, size_t block) __attribute__((always_inline)) {
      unrolled<T>([&](auto t) __attribute__((always_inline)) { x[t.value] = first[t.value] + block; });
      if constexpr (V::in_order && N * T == 1) columns32<N, T>(InOrder(columns), x, sums);
      else columns32<N, T>(columns, x, sums);
    });
    unrolled<N * T>([&](auto i) __attribute__((always_inline)) { V::store(out[i.value / N] + row + i.value % N * V::lanes, sums[i.value]); });
  }
};

}  // namespace
}  // namespace moiety
