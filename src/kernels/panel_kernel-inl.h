// One panel times any number of rows, written once over a vector type V (panel_tile-inl.h); each panel_kernel_*.cc brings its V and compiles this
// with the flags of its instruction set.
#include <algorithm>
#include <utility>

#include "kernels/panel_apart-inl.h"
#include "kernels/panel_float-inl.h"
#include "kernels/panel_kernel.h"
#include "kernels/panel_tile-inl.h"

namespace moiety {
namespace {

template <class V, class Work, int P, int T>
[[gnu::noinline]] void rows_together(const std::byte* const* panels, const std::byte* next, size_t cols, const void* const* x, PairOutputs* out, size_t row) {
  Stream streams[P];
  for (int p = 0; p < P; p++) streams[p] = {panels[p] + Work::bytes(cols), next + size_t(p) * Work::bytes(cols), T == 1 ? ask_ahead.one_row : ask_ahead.rows};
  Work::template rows<P, T>(panels, streams, cols, x, out, row);
}

// The more rows share a panel's unpacking the better, and the more panels share what is loaded of a row; how many there are changes no sum.
// Few rows wait for memory, which gives one stream faster than two or the other way round (kernels/ask_ahead.h).
// `Many` takes all rows of a panel from a number on.
template <class V, class Work, class Many>
void multiply(const PanelPair& w, size_t cols, const void* const* x, size_t tokens, PairOutputs* out) {
  [[maybe_unused]] const std::byte* const both[2] = {w.first, w.second};
  [[maybe_unused]] const auto together = [&](auto tile, size_t t) { rows_together<V, Work, 2, decltype(tile)::value>(both, w.next, cols, x + t, out + t, 0); };
  if constexpr (Work::paired > 0)
    if (w.second && (w.cached ? tokens > 1 : tokens >= 2 * Work::paired)) return each_even_tile<Work::paired>(tokens, together);
  if constexpr (Work::streamed > 0)
    if (w.second && !w.cached && w.two_streams && tokens <= Work::streamed)
      return with_index<Work::streamed>(tokens, [&](auto tile) { together(tile, 0); });
  const auto one = [&](const std::byte* panel, const std::byte* next, size_t row) {
    if constexpr (Many::from < SIZE_MAX)
      if (tokens >= Many::from) return Many::rows(panel, {panel + Work::bytes(cols), next, ask_ahead.rows}, cols, x, tokens, out, row);
    each_tile<Work::tokens, Work::last_tokens>(tokens, [&](auto tile, size_t t) { rows_together<V, Work, 1, decltype(tile)::value>(&panel, next, cols, x + t, out + t, row); });
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
          V::tile,
          {multiply<V, Tile<V, of_any_type(panel_formats[i])>, ApartTiles<V, of_any_type(panel_formats[i])>>...},
          multiply<V, FloatTile<V, TensorType::f32>, FloatsApart<V, TensorType::f32>>,
          multiply<V, FloatTile<V, TensorType::f16>, FloatsApart<V, TensorType::f16>>,
          multiply<V, FloatTile<V, TensorType::bf16>, FloatsApart<V, TensorType::bf16>>,
          spin_bytes<V>,
          spin_floats<V>};
}

template <class V>
constexpr PanelKernels all_kernels(const char* name) {
  return all_kernels<V>(name, std::make_index_sequence<sizeof(panel_formats) / sizeof(panel_formats[0])>{});
}

}  // namespace
}  // namespace moiety
