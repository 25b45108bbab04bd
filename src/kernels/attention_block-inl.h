// What attention does with a block of positions of one key head: scores of a few queries, their weights, sums of values. Included once for every
// instruction set (Highway's foreach_target).
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "kernels/attention.h"

#ifndef MOIETY_KERNELS_ATTENTION_BLOCK
#define MOIETY_KERNELS_ATTENTION_BLOCK
namespace moiety {
namespace {

constexpr size_t positions_together = 32;  // of a block

// The largest score so far, the sum of exp(score - top), what this block's new top makes of earlier sums.
struct Running {
  float top = -3e38f, sum = 0, factor = 1;
};

}  // namespace
}  // namespace moiety
#endif

#if defined(MOIETY_KERNELS_ATTENTION_BLOCK_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MOIETY_KERNELS_ATTENTION_BLOCK_INL
#undef MOIETY_KERNELS_ATTENTION_BLOCK_INL
#else
#define MOIETY_KERNELS_ATTENTION_BLOCK_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr size_t lanes = HWY_LANES(float);
static_assert(positions_together % lanes == 0);

constexpr size_t whole_vectors(size_t n) { return (n + lanes - 1) / lanes * lanes; }

// out[k] = the sum of the lanes of x[k], k < 4.
#if HWY_TARGET == HWY_SCALAR
HWY_ATTR HWY_INLINE void store_sums(const V* x, float* out) {
  for (size_t k = 0; k < 4; k++) out[k] = hn::GetLane(x[k]);
}
#else
template <class T>
HWY_ATTR HWY_INLINE auto fold(T d, hn::Vec<T> x) {
  if constexpr (hn::MaxLanes(T()) == 4) {
    return x;
  } else {
    const hn::Half<T> half;
    return fold(half, hn::Add(hn::LowerHalf(half, x), hn::UpperHalf(half, x)));
  }
}
HWY_ATTR HWY_INLINE void store_sums(const V* x, float* out) {
  const D d;
  const hn::Repartition<double, D> pairs;
  const auto ab = hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, x[0], x[1]), hn::InterleaveUpper(d, x[0], x[1])));
  const auto ce = hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, x[2], x[3]), hn::InterleaveUpper(d, x[2], x[3])));
  const V low = hn::BitCast(d, hn::InterleaveLower(pairs, ab, ce)), high = hn::BitCast(d, hn::InterleaveUpper(pairs, ab, ce));
  hn::StoreU(fold(d, hn::Add(low, high)), hn::FixedTag<float, 4>(), out);
}
#endif

// A block's rows of one key head, to be read a vector at a time: rows of floats, or as they lie in the cache. `unit` numbers have a scale in common.
struct FloatRows {
  static constexpr size_t unit = lanes;
  const float* first;
  size_t width;
  const float* row(size_t p) const { return first + p * width; }
  HWY_ATTR HWY_INLINE V scale(const float*, size_t) const { return hn::Undefined(D()); }
  HWY_ATTR HWY_INLINE V at(const float* row, size_t i, V) const { return hn::LoadU(D(), row + i); }
};
template <TensorType type>
struct CacheRows {
  static constexpr size_t unit = type == TensorType::q8_0 ? 32 : lanes;
  const std::byte* first;
  size_t row_bytes;
  const std::byte* row(size_t p) const { return first + p * row_bytes; }
  HWY_ATTR HWY_INLINE V scale(const std::byte* row, size_t i) const {
    if constexpr (type == TensorType::q8_0) {  // blocks of a half and 32 signed bytes
      const hn::CappedTag<float, 4> few;
      const auto halves = hn::LoadU(hn::Rebind<hwy::float16_t, decltype(few)>(), reinterpret_cast<const hwy::float16_t*>(row + i / 32 * 34));
      return hn::Set(D(), hn::GetLane(hn::PromoteTo(few, halves)));
    } else {
      return hn::Undefined(D());
    }
  }
  HWY_ATTR HWY_INLINE V at(const std::byte* row, size_t i, V scale) const {
    const D d;
    if constexpr (type == TensorType::q8_0) {
      const auto codes = hn::LoadU(hn::Rebind<int8_t, D>(), reinterpret_cast<const int8_t*>(row + i / 32 * 34 + 2) + i % 32);
      return hn::Mul(scale, hn::ConvertTo(d, hn::PromoteTo(hn::RebindToSigned<D>(), codes)));
    } else if constexpr (type == TensorType::f32) {
      return hn::LoadU(d, reinterpret_cast<const float*>(row) + i);
    } else {
      using Half = std::conditional_t<type == TensorType::f16, hwy::float16_t, hwy::bfloat16_t>;
      return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Half, D>(), reinterpret_cast<const Half*>(row) + i));
    }
  }
};

// Keeps x in a register. Compilers would rather load it anew for each of its products, and loads would then decide the speed.
HWY_ATTR HWY_INLINE V kept(V x) {
#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  asm("" : "+v"(x.raw));
#endif
  return x;
}

// Keys, or vectors of values, whose sums for Q queries fit into the registers beside what they are made of.
template <int Q>
constexpr int beside = Q * 4 <= (lanes >= 16 ? 16 : 12) ? 4 : 2;

// scores[q][p] = query q times key p, for Q queries and the keys [begin, end); width is whole vectors. Four keys at a time, from a multiple of
// four on: scores beside the range are written and mean nothing. As many sums are made at once as the registers hold.
template <int Q, class Rows>
HWY_ATTR void score(const float* queries, const Rows& keys, size_t width, size_t begin, size_t end, float* scores) {
  const D d;
  constexpr int at_once = beside<Q>;
  for (size_t p = begin / 4 * 4; p < end; p += 4) {
    V sums[Q][4];
    for (int first = 0; first < 4; first += at_once) {
      decltype(keys.row(0)) row[at_once];
      for (int k = 0; k < at_once; k++) {
        row[k] = keys.row(std::clamp(p + static_cast<size_t>(first + k), begin, end - 1));
        for (int q = 0; q < Q; q++) sums[q][first + k] = hn::Zero(d);
      }
      for (size_t unit = 0; unit < width; unit += Rows::unit) {
        V scale[at_once];
        for (int k = 0; k < at_once; k++) scale[k] = keys.scale(row[k], unit);
        for (size_t j = 0; j < Rows::unit / lanes; j++) {
          const size_t i = unit + j * lanes;
          V query[Q];
          for (int q = 0; q < Q; q++) query[q] = kept(hn::LoadU(d, queries + q * width + i));
          for (int k = 0; k < at_once; k++) {
            const V key = kept(keys.at(row[k], i, scale[k]));
            for (int q = 0; q < Q; q++) sums[q][first + k] = hn::MulAdd(query[q], key, sums[q][first + k]);
          }
        }
      }
    }
    for (int q = 0; q < Q; q++) store_sums(sums[q], scores + q * positions_together + p);
  }
}

// c tanh(x / c), tanh(z) = 1 - 2 / (exp(2 z) + 1)
HWY_ATTR HWY_NOINLINE V capped(V x, float c) {
  const D d;
  const V one = hn::Set(d, 1.0f), most = hn::Set(d, 80.0f), two_z = hn::Div(hn::Add(x, x), hn::Set(d, c));
  const V power = hn::Exp(d, hn::Max(hn::Min(two_z, most), hn::Neg(most)));
  return hn::Mul(hn::Set(d, c), hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(power, one))));
}

// Scores of the block's positions [begin, end) become weights exp(score - top), all others 0.
HWY_ATTR void weigh(const AttentionShape& shape, size_t begin, size_t end, float* scores, Running& running) {
  const D d;
  const V scale = hn::Set(d, shape.scale), none = hn::Set(d, -std::numeric_limits<float>::infinity());
  const V low = hn::Set(d, static_cast<float>(begin)), high = hn::Set(d, static_cast<float>(end));
  V most = hn::Set(d, running.top);
  for (size_t p = 0; p < positions_together; p += lanes) {
    V x = hn::Mul(hn::LoadU(d, scores + p), scale);
    if (shape.softcap > 0) x = capped(x, shape.softcap);
    const V position = hn::Iota(d, static_cast<float>(p));
    x = hn::IfThenElse(hn::And(hn::Ge(position, low), hn::Lt(position, high)), x, none);
    hn::StoreU(x, d, scores + p);
    most = hn::Max(most, x);
  }
  most = hn::MaxOfLanes(d, most);
  V sum = hn::Zero(d);
  for (size_t p = 0; p < positions_together; p += lanes) {
    // Far below the top a weight is 0; Exp itself wants finite numbers.
    const V x = hn::Sub(hn::LoadU(d, scores + p), most), tiny = hn::Set(d, -100.0f);
    const V weight = hn::IfThenElseZero(hn::Gt(x, tiny), hn::Exp(d, hn::Max(x, tiny)));
    hn::StoreU(weight, d, scores + p);
    sum = hn::Add(sum, weight);
  }
  // A block without a new top, be it that all of it is masked, leaves earlier sums as they are to the bit.
  const float top = hn::GetLane(most);
  running.factor = top == running.top ? 1 : hn::GetLane(hn::Exp(d, hn::Max(hn::Set(d, running.top - top), hn::Set(d, -100.0f))));
  running.top = top;
  running.sum = running.sum * running.factor + hn::GetLane(hn::SumOfLanes(d, sum));
}

// out[q][i] = out[q][i] * factor[q] + sum over p in [begin, end) of weights[q][p] values[p][i], C vectors of i at a time. factor: 1 unless `first`.
template <int Q, int C, class Rows>
HWY_ATTR HWY_INLINE size_t add_columns(const float* weights, const Rows& values, size_t width, size_t begin, size_t end, bool first, const Running* running, float* out, size_t i) {
  const D d;
  for (; i + C * lanes <= width; i += C * lanes) {
    V sums[Q][C];
    for (int q = 0; q < Q; q++)
      for (int c = 0; c < C; c++) sums[q][c] = hn::Mul(hn::LoadU(d, out + q * width + i + c * lanes), hn::Set(d, first ? running[q].factor : 1));
    for (size_t p = begin; p < end; p++) {
      const auto row = values.row(p);
      V weight[Q];
      for (int q = 0; q < Q; q++) weight[q] = kept(hn::Set(d, weights[q * positions_together + p]));
      V scale = values.scale(row, i);
      for (int c = 0; c < C; c++) {
        if (c > 0 && c * lanes % Rows::unit == 0) scale = values.scale(row, i + c * lanes);
        const V value = kept(values.at(row, i + c * lanes, scale));
        for (int q = 0; q < Q; q++) sums[q][c] = hn::MulAdd(weight[q], value, sums[q][c]);
      }
    }
    for (int q = 0; q < Q; q++)
      for (int c = 0; c < C; c++) hn::StoreU(sums[q][c], d, out + q * width + i + c * lanes);
  }
  return i;
}
template <int Q, int C, class Rows>
HWY_ATTR void add_values(const float* weights, const Rows& values, size_t width, size_t begin, size_t end, bool first, const Running* running, float* out) {
  const size_t done = add_columns<Q, C>(weights, values, width, begin, end, first, running, out, 0);
  add_columns<Q, 1>(weights, values, width, begin, end, first, running, out, done);
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();
#endif
