// One panel times a few rows, written once over a vector type V; each panel_kernel_*.cc brings its V and compiles this with the flags of
// its instruction set. Nothing here may instantiate code that other files share: it would carry instructions they must not run.
//
// V has `lanes` (16 or 8) rows of a panel; H says which half of the panel's 16 rows a V of 8 lanes works on.
//   B  bytes: code 4 r + k of row r     I  a sum for each row     S  what a chain of byte products is kept in     F  a float for each row
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

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

// IQ4's curve, and 4-bit floats doubled and moved by 12, both as bytes for a table lookup.
constexpr int8_t curve_table[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t fp4_table[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

template <class V, PanelFormat f>
struct Tile {
  using B = typename V::B;
  using F = typename V::F;
  // On instruction sets that multiply unsigned by signed bytes exactly, signed codes move up by 128.
  static constexpr bool moved = f.is_signed() && V::exact;
  static constexpr int offset = moved ? 128 : f.offset;
  static constexpr int per_sub = f.sub / 4;  // groups of four columns
  // Byte products add up in 16 bits this many at a time: 2 * 127 * largest * chain stays below 2^15.
  static constexpr int longest = f.largest() > 64 ? 1 : f.largest() > 32 ? 2 : f.largest() > 16 ? 4 : 8;
  static constexpr int chain = V::exact ? 1 : longest < per_sub ? longest : per_sub;

  template <int bits, int g>
  [[gnu::always_inline]] static B plane(const std::byte* at) {
    if constexpr (bits == 8) return V::load(at + 64 * g);
    else if constexpr (bits == 4) return V::mask(V::template down<4 * (g / 4)>(V::load(at + 64 * (g % 4))), 15);
    else if constexpr (bits == 2) return V::mask(V::template down<2 * (g % 4)>(V::load(at + 64 * (g / 4))), 3);
    else return V::mask(V::template down<g>(V::load(at)), 1);
  }
  template <int g>
  [[gnu::always_inline]] static B codes(const std::byte* at) {
    B low = plane<f.low_bits, g>(at);
    if constexpr (f.high_bits != 0) low = V::either(low, V::template up<f.low_bits>(plane<f.high_bits, g>(at + f.low_bytes())));
    if constexpr (f.codes == Codes::doubled) low = V::template up<1>(low);
    if constexpr (f.codes == Codes::curve) low = V::lookup(curve_table, low);
    if constexpr (f.codes == Codes::fp4) low = V::lookup(fp4_table, low);
    if constexpr (moved) low = V::flip_top(low);
    return low;
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

  // sums[t] += the panel's rows times 32 columns of x[t].
  template <int T, int H>
  [[gnu::always_inline]] static void columns32(const std::byte* block, int at, F d, F dmin, const Q8Block* const* x, F* sums) {
    const std::byte* codes_at = block + f.codes_at() + size_t(at) * f.group_bytes() + H * 4 * V::lanes;
    constexpr int subs = 32 / f.sub;
    unrolled<subs>([&](auto sub) __attribute__((always_inline)) {
      typename V::I products[T];
      typename V::S chained[T];
      for (int t = 0; t < T; t++)
        products[t] = offset == 0 ? V::zero_int() : V::whole(-offset * (subs == 1 ? x[t]->whole : x[t]->sum[sub.value]));
      unrolled<per_sub>([&](auto step) __attribute__((always_inline)) {
        constexpr int g = decltype(sub)::value * per_sub + decltype(step)::value;
        constexpr bool first = decltype(step)::value % chain == 0, last = decltype(step)::value % chain == chain - 1;
        const B w = codes<g>(codes_at);
        for (int t = 0; t < T; t++) {
          if constexpr (f.is_signed() && !moved) V::add_signed(products[t], w, x[t]->q + 4 * g);
          else V::template add<first, last>(products[t], chained[t], w, x[t]->q + 4 * g);
        }
      });
      const F scale = scale_of<H>(block, d, at * subs + sub.value);
      for (int t = 0; t < T; t++) sums[t] = V::fused(V::times(V::floats(products[t]), scale), V::all(x[t]->scale), sums[t]);
      if constexpr (f.minimum) {
        const F minimum = minimum_of<H>(block, dmin, at * subs + sub.value);
        for (int t = 0; t < T; t++) {
          const F sum = V::all(subs == 1 ? x[t]->scaled_whole : x[t]->scaled_sum[sub.value]);
          sums[t] = f.minimum_subtracted ? V::fused_less(minimum, sum, sums[t]) : V::fused(minimum, sum, sums[t]);
        }
      }
    });
  }

  template <int T, int H>
  [[gnu::always_inline]] static void half(const std::byte* panel, size_t cols, const void* const* rows, float (*out)[panel_rows]) {
    const Q8Block* x[T];
    F sums[T];
    for (int t = 0; t < T; t++) x[t] = static_cast<const Q8Block*>(rows[t]), sums[t] = V::zero();
    for (size_t c = 0; c < cols; c += f.columns, panel += f.bytes()) {
      const F d = f.d == BlockScale::none ? V::zero() : f.d == BlockScale::exponent ? V::exponents(panel + H * V::lanes) : V::halves(panel + H * 2 * V::lanes);
      const F dmin = f.minimum ? V::halves(panel + f.minimum_at() + H * 2 * V::lanes) : d;
      for (int at = 0; at < f.columns / 32; at++) {
        if constexpr (H == 0) V::ahead(panel + f.codes_at() + at * f.group_bytes(), f.group_bytes());
        columns32<T, H>(panel, at, d, dmin, x, sums);
        for (int t = 0; t < T; t++) x[t]++;
      }
    }
    for (int t = 0; t < T; t++) V::store(out[t] + H * V::lanes, sums[t]);
  }
};

// Floats: column by column in four sums, columns c % 4 each, added at the end as (0 + 1) + (2 + 3).
template <class V, TensorType type>
struct FloatTile {
  using F = typename V::F;
  static constexpr size_t size = type == TensorType::f32 ? 4 : 2;

  template <int T, int H>
  [[gnu::always_inline]] static void half(const std::byte* panel, size_t cols, const void* const* rows, float (*out)[panel_rows]) {
    const float* x[T];
    F sums[T][4];
    for (int t = 0; t < T; t++) {
      x[t] = static_cast<const float*>(rows[t]);
      for (int k = 0; k < 4; k++) sums[t][k] = V::zero();
    }
    const std::byte* at = panel + H * V::lanes * size;
    auto column = [&](size_t c, int k) __attribute__((always_inline)) {
      const F w = type == TensorType::f32 ? V::floats_at(at) : type == TensorType::f16 ? V::halves(at) : V::bfloats(at);
      at += panel_rows * size;
      for (int t = 0; t < T; t++) sums[t][k] = V::fused(w, V::all(x[t][c]), sums[t][k]);
    };
    size_t c = 0;
    for (; c + 4 <= cols; c += 4) {
      if constexpr (T <= 2 && H == 0) V::ahead(at, 4 * panel_rows * size);
      column(c, 0), column(c + 1, 1), column(c + 2, 2), column(c + 3, 3);
    }
    for (int k = 0; c < cols; c++, k++) column(c, k);
    for (int t = 0; t < T; t++) V::store(out[t] + H * V::lanes, V::plus(V::plus(sums[t][0], sums[t][1]), V::plus(sums[t][2], sums[t][3])));
  }
};

template <class V, class Work, int T>
[[gnu::noinline]] void rows_together(const std::byte* panel, size_t cols, const void* const* x, float (*out)[panel_rows]) {
  Work::template half<T, 0>(panel, cols, x, out);
  if constexpr (V::lanes == 8) Work::template half<T, 1>(panel, cols, x, out);
}

template <class V, class Work, int rows>
void multiply_rest(const std::byte* panel, size_t cols, const void* const* x, size_t tokens, float (*out)[panel_rows]) {
  if constexpr (rows > 0) {
    if (tokens == rows) rows_together<V, Work, rows>(panel, cols, x, out);
    else multiply_rest<V, Work, rows - 1>(panel, cols, x, tokens, out);
  }
}

// The more rows share a panel's unpacking the better; how many there are changes no sum.
template <class V, class Work, int most>
void multiply(const std::byte* panel, size_t cols, const void* const* x, size_t tokens, float (*out)[panel_rows]) {
  size_t t = 0;
  for (; t + most <= tokens; t += most) rows_together<V, Work, most>(panel, cols, x + t, out + t);
  multiply_rest<V, Work, most - 1>(panel, cols, x + t, tokens - t, out + t);
}

// Sums enough to hide an instruction's latency. What they add up to is of no use, which the compiler must not see.
template <class V>
[[gnu::noinline]] uint64_t spin_bytes(uint64_t rounds) {
  constexpr int sums = V::lanes == 16 ? 12 : 6, steps = 8;
  alignas(64) std::byte bytes[64 + 4 * sums] = {};
  const std::byte* codes = bytes;
  typename V::I sum[sums];
  typename V::S chain[sums];
  for (auto& s : sum) s = V::zero_int();
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
