// One panel times a few rows, written once over a vector type V; each panel_kernel_*.cc brings its V and compiles this with the flags of
// its instruction set. Nothing here may instantiate code that other files share: it would carry instructions they must not run.
//
// V has `lanes` (16 or 8) rows of a panel; `halves` of 8 lanes make up its 16 rows.
//   B  bytes: code 4 r + k of row r     I  a sum for each row     S  what a chain of byte products is kept in     F  a float for each row
//
// What is done for each row of activations beside the byte products decides the speed, since it takes the same ports. So a sum starts at
// q8_start, whose bits are a float's whose unit is 1: after the products the sum is that float already, and one fused multiply-add
// scales it and takes the start away again, exactly (kernels/q8_rows.h). Offsets of codes join the start where a block has that ready,
// and the minima's way of being subtracted where not.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/panel_kernel.h"
#include "kernels/second_cache.h"

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

// IQ4's curve, and 4-bit floats doubled and moved by 12, both as bytes for a table lookup.
constexpr int8_t curve_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t fp4_table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

// A panel as it streams by: the lines that come in a while are asked for now, the next panel's at the end of this one. Far enough ahead for a
// core that reads 40 GB/s from a memory 200 ns away, near enough for a first-level cache of 32 KiB.
// Where the second-level cache takes more such requests at once than the first (second_cache.h), they go there, and from there on shortly before use.
struct Stream {
  static constexpr size_t distance = 8192, near = 1024;
  const std::byte *end, *next;
  template <class V>
  [[gnu::always_inline]] void ask(const std::byte* now, size_t bytes) const {
    const std::byte* later = now + distance;
    if (later >= end) later = next + (later - end);
    if (reads_through_second_cache) V::template ask<2>(later, bytes), V::template ask<1>(now + near, bytes);
    else V::template ask<1>(later, bytes);
  }
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
  static constexpr int halves = int(panel_rows) / V::lanes, paired = V::paired;
  // Byte products add up in 16 bits this many at a time: 2 * 127 * largest * chain stays below 2^15.
  static constexpr int longest = f.largest() > 64 ? 1 : f.largest() > 32 ? 2 : f.largest() > 16 ? 4 : 8;
  static constexpr int chain = V::exact ? 1 : longest < per_sub ? longest : per_sub;

  // Where the bits of group g lie in a plane of so many bits: bytes from its begin, bits from the right.
  static constexpr size_t plane_byte(int bits, int g) { return 64 * size_t(bits == 8 ? g : bits == 4 ? g % 4 : bits == 2 ? g / 4 : 0); }
  static constexpr int plane_bit(int bits, int g) { return bits == 8 ? 0 : bits == 4 ? 4 * (g / 4) : bits == 2 ? 2 * (g % 4) : g; }

  // Codes, with what their bytes hold besides where they are of one plane.
  template <int g>
  [[gnu::always_inline]] static B uncut_codes(const std::byte* at) {
    const B low = V::template down<plane_bit(f.low_bits, g)>(V::load(at + plane_byte(f.low_bits, g)));
    if constexpr (f.high_bits == 0) return low;
    else {
      constexpr int bit = plane_bit(f.high_bits, g) - f.low_bits, low_mask = (1 << f.low_bits) - 1;
      const B high = V::load(at + f.low_bytes() + plane_byte(f.high_bits, g));
      if constexpr (bit < 0) return V::template either_by<low_mask>(low, V::template up<-bit>(high));
      else return V::template either_by<low_mask>(low, V::template down<bit>(high));
    }
  }
  template <int g>
  [[gnu::always_inline]] static B codes(const std::byte* at) {
    B out = uncut_codes<g>(at);
    if constexpr (f.low_bits < 8) out = V::mask(out, char((1 << (f.low_bits + f.high_bits)) - 1));
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

  // sums[N t + n] += the rows of vector n times 32 columns of x[t]. What is loaded of x serves all vectors.
  template <int P, int T>
  [[gnu::always_inline]] static void columns32(const std::byte* const* block, int at, const F* d, const F* dmin, const Q8Block* const* x, F* sums) {
    constexpr int subs = 32 / f.sub, N = P * halves;
    unrolled<subs>([&](auto sub) __attribute__((always_inline)) {
      typename V::I products[N * T];
      typename V::S chained[N * T];
      unrolled<per_sub>([&](auto step) __attribute__((always_inline)) {
        constexpr int g = decltype(sub)::value * per_sub + decltype(step)::value;
        [[maybe_unused]] constexpr bool first = decltype(step)::value % chain == 0, last = decltype(step)::value % chain == chain - 1;
        B w[N];
        unrolled<N>([&](auto n) __attribute__((always_inline)) {
          constexpr int p = decltype(n)::value / halves, h = decltype(n)::value % halves;
          w[n.value] = codes<g>(block[p] + f.codes_at() + size_t(at) * f.group_bytes() + h * 4 * V::lanes);
        });
        unrolled<N * T>([&](auto i) __attribute__((always_inline)) {
          constexpr int t = decltype(i)::value / N, n = decltype(i)::value % N;
          if constexpr (decltype(step)::value == chain - 1) {  // no sooner, or it holds a register through the first chain
            if constexpr (start >= 0) products[i.value] = V::whole(x[t]->starts[start]);
            else products[i.value] = V::whole(q8_start);
          }
          if constexpr (f.is_signed() && !moved) V::add_signed(products[i.value], w[n], x[t]->q + 4 * g);
          else V::template add<first, last>(products[i.value], chained[i.value], w[n], x[t]->q + 4 * g);
        });
      });
      F scale[N];
      unrolled<N>([&](auto n) __attribute__((always_inline)) {
        constexpr int p = decltype(n)::value / halves, h = decltype(n)::value % halves;
        scale[n.value] = scale_of<h>(block[p], d[n.value], at * subs + sub.value);
      });
      unrolled<N * T>([&](auto i) __attribute__((always_inline)) {
        constexpr int t = decltype(i)::value / N, n = decltype(i)::value % N;
        sums[i.value] = V::fused(V::scaled(products[i.value], x[t]->scale, x[t]->scaled_start), scale[n], sums[i.value]);
      });
      static_assert(!(f.minimum && subtracts_offset));
      if constexpr (f.minimum || subtracts_offset) {
        F factor[N];
        unrolled<N>([&](auto n) __attribute__((always_inline)) {
          constexpr int p = decltype(n)::value / halves, h = decltype(n)::value % halves;
          factor[n.value] = f.minimum ? minimum_of<h>(block[p], dmin[n.value], at * subs + sub.value) : V::times(scale[n.value], V::all(float(offset)));
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

  // Rows are reached by one growing index: pointers that grow each would be a vector to the compiler, which goes through memory.
  template <int P, int T>
  [[gnu::always_inline]] static void rows(const std::byte* const* panels, const Stream* streams, size_t cols, const void* const* rows, PairOutputs* out,
                                          size_t row) {
    constexpr int N = P * halves;
    const Q8Block *first[T], *x[T];
    const std::byte* panel[P];
    F sums[N * T], d[N], dmin[N];
    unrolled<T>([&](auto t) __attribute__((always_inline)) { first[t.value] = static_cast<const Q8Block*>(rows[t.value]); });
    unrolled<P>([&](auto p) __attribute__((always_inline)) { panel[p.value] = panels[p.value]; });
    unrolled<N * T>([&](auto i) __attribute__((always_inline)) { sums[i.value] = V::zero(); });
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
        unrolled<T>([&](auto t) __attribute__((always_inline)) { x[t.value] = first[t.value] + block; });
        columns32<P, T>(panel, at, d, dmin, x, sums);
      }
      unrolled<P>([&](auto p) __attribute__((always_inline)) { panel[p.value] += f.bytes(); });
    }
    unrolled<N * T>([&](auto i) __attribute__((always_inline)) { V::store(out[i.value / N] + row + i.value % N * V::lanes, sums[i.value]); });
  }
};

// Floats: column by column in four sums, columns c % 4 each, added at the end as (0 + 1) + (2 + 3).
template <class V, TensorType type>
struct FloatTile {
  using F = typename V::F;
  static constexpr size_t size = type == TensorType::f32 ? 4 : 2;
  static constexpr int paired = 0;

  static size_t bytes(size_t cols) { return cols * panel_rows * size; }

  // Columns [begin, end), `begin` a multiple of 4.
  template <int T, int H>
  [[gnu::always_inline]] static void half(const std::byte* panel, const Stream& stream, size_t begin, size_t end, const void* const* rows,
                                          float (*sum)[4][panel_rows]) {
    const float* x[T];
    F sums[T][4];
    for (int t = 0; t < T; t++) {
      x[t] = static_cast<const float*>(rows[t]);
      for (int k = 0; k < 4; k++)
        sums[t][k] = begin == 0 ? V::zero() : V::floats_at(reinterpret_cast<const std::byte*>(sum[t][k] + H * V::lanes));
    }
    const std::byte* at = panel + bytes(begin) + H * V::lanes * size;
    auto column = [&](size_t c, int k) __attribute__((always_inline)) {
      const F w = type == TensorType::f32 ? V::floats_at(at) : type == TensorType::f16 ? V::halves(at) : V::bfloats(at);
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
    float sum[T][4][panel_rows];
    const size_t step = V::lanes == 8 ? 64 : cols;
    for (size_t c = 0; c < cols; c += step) {
      const size_t end = std::min(cols, c + step);
      half<T, 0>(*panels, *streams, c, end, x, sum);
      if constexpr (V::lanes == 8) half<T, 1>(*panels, *streams, c, end, x, sum);
    }
    for (int t = 0; t < T; t++)
      for (size_t r = 0; r < panel_rows; r++) out[t][row + r] = (sum[t][0][r] + sum[t][1][r]) + (sum[t][2][r] + sum[t][3][r]);
  }
};

template <class V, class Work, int P, int T>
[[gnu::noinline]] void rows_together(const std::byte* const* panels, const std::byte* next, size_t cols, const void* const* x, PairOutputs* out, size_t row) {
  Stream streams[P];
  for (int p = 0; p < P; p++) streams[p] = {panels[p] + Work::bytes(cols), next + size_t(p) * Work::bytes(cols)};
  Work::template rows<P, T>(panels, streams, cols, x, out, row);
}

template <class V, class Work, int P, int most>
void few_rows(const std::byte* const* panels, const std::byte* next, size_t cols, const void* const* x, size_t tokens, PairOutputs* out, size_t row) {
  if constexpr (most > 0) {
    if (tokens == most) rows_together<V, Work, P, most>(panels, next, cols, x, out, row);
    else few_rows<V, Work, P, most - 1>(panels, next, cols, x, tokens, out, row);
  }
}

// The more rows share a panel's unpacking the better, and the more panels share what is loaded of a row; how many there are changes no sum.
// Few rows wait for memory, which gives one stream faster than two.
template <class V, class Work, int most>
void multiply(const PanelPair& w, size_t cols, const void* const* x, size_t tokens, PairOutputs* out) {
  if constexpr (Work::paired > 0)
    if (w.second && (w.cached ? tokens > 1 : tokens >= 2 * Work::paired)) {
      const std::byte* const both[2] = {w.first, w.second};
      for (size_t tiles = (tokens + Work::paired - 1) / Work::paired; tiles > 0; tiles--) {
        const size_t rows = (tokens + tiles - 1) / tiles;
        few_rows<V, Work, 2, Work::paired>(both, w.next, cols, x, rows, out, 0);
        x += rows, out += rows, tokens -= rows;
      }
      return;
    }
  const auto one = [&](const std::byte* panel, const std::byte* next, size_t row) {
    size_t t = 0;
    for (; t + most <= tokens; t += most) rows_together<V, Work, 1, most>(&panel, next, cols, x + t, out + t, row);
    few_rows<V, Work, 1, most - 1>(&panel, next, cols, x + t, tokens - t, out + t, row);
  };
  one(w.first, w.second ? w.second : w.next, 0);
  if (w.second) one(w.second, w.next, panel_rows);
}

// Sums enough to hide an instruction's latency. What they add up to is of no use, which the compiler must not see.
template <class V>
[[gnu::noinline]] uint64_t spin_bytes(uint64_t rounds) {
  constexpr int sums = V::lanes == 16 ? 12 : 6, steps = 8;
  alignas(64) std::byte bytes[64 + 4 * sums] = {};
  const std::byte* codes = bytes;
  typename V::I sum[sums];
  typename V::S chain[sums];
  for (auto& s : sum) s = V::whole(0);
  for (uint64_t r = 0; r < rounds; r++)
    unrolled<steps>([&](auto step) __attribute__((always_inline)) {
      asm volatile("" : "+r"(codes));  // or products that are alike would be made once
      const typename V::B w = V::load(codes);
      const auto* x = reinterpret_cast<const int8_t*>(codes + 64);
      unrolled<sums>([&](auto k) __attribute__((always_inline)) {
        V::template add<decltype(step)::value == 0, decltype(step)::value == steps - 1>(sum[k.value], chain[k.value], w, x + 4 * k.value);
      });
    });
  float sink[panel_rows];
  for (const auto& s : sum) V::store(sink, V::floats(s));
  asm volatile("" : : "r"(sink) : "memory");
  return rounds * sums * steps * V::lanes * 4;
}
template <class V>
[[gnu::noinline]] uint64_t spin_floats(uint64_t rounds) {
  constexpr int sums = V::lanes == 16 ? 12 : 10, steps = 8;
  typename V::F sum[sums];
  for (auto& s : sum) s = V::zero();
  const typename V::F w = V::all(0.5f);
  for (uint64_t r = 0; r < rounds; r++)
    unrolled<steps>([&](auto) __attribute__((always_inline)) {
      for (auto& s : sum) s = V::fused(w, s, w);
    });
  float sink[panel_rows];
  for (const auto& s : sum) V::store(sink, s);
  asm volatile("" : : "r"(sink) : "memory");
  return rounds * sums * steps * V::lanes;
}

// Types that lie in a panel alike share a kernel.
constexpr PanelFormat of_any_type(PanelFormat f) {
  f.type = TensorType::q8_0;
  return f;
}

template <class V, size_t... i>
constexpr PanelKernels all_kernels(const char* name, std::index_sequence<i...>) {
  return {name,
          std::max(V::tokens, 8),
          {multiply<V, Tile<V, of_any_type(panel_formats[i])>, V::tokens>...},
          multiply<V, FloatTile<V, TensorType::f32>, V::float_tokens>,
          multiply<V, FloatTile<V, TensorType::f16>, V::float_tokens>,
          multiply<V, FloatTile<V, TensorType::bf16>, V::float_tokens>,
          spin_bytes<V>,
          spin_floats<V>};
}

template <class V>
constexpr PanelKernels all_kernels(const char* name) {
  return all_kernels<V>(name, std::make_index_sequence<sizeof(panel_formats) / sizeof(panel_formats[0])>{});
}

}  // namespace
}  // namespace moiety
