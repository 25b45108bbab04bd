// Vectors of a row, the last of which may be short. Included once for every instruction set (Highway's foreach_target).
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cstddef>

#if defined(MOIETY_KERNELS_VECTORS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MOIETY_KERNELS_VECTORS_INL
#undef MOIETY_KERNELS_VECTORS_INL
#else
#define MOIETY_KERNELS_VECTORS_INL
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

// x[0, count) and `filler` beyond, where fewer than a whole vector are left.
HWY_ATTR HWY_INLINE Vector load(const float* x, size_t count, float filler = 0) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  if (HWY_LIKELY(count >= lanes)) return hn::LoadU(d, x);
  HWY_ALIGN float whole[HWY_MAX_BYTES / sizeof(float)];
  std::fill_n(std::copy_n(x, count, whole), lanes - count, filler);
  return hn::Load(d, whole);
}

HWY_ATTR HWY_INLINE void store(Vector v, float* x, size_t count) {
  const Tag d;
  if (HWY_LIKELY(count >= hn::Lanes(d))) return hn::StoreU(v, d, x);
  HWY_ALIGN float whole[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, whole);
  std::copy_n(whole, count, x);
}

HWY_ATTR HWY_INLINE Vector all(float x) { return hn::Set(Tag(), x); }
// 1 / (1 + exp(-x)); far below, exp(-x) stays finite, since Exp's argument is kept where it is right.
HWY_ATTR HWY_INLINE Vector sigmoid_of(Vector x) {
  return hn::Div(all(1), hn::Add(all(1), hn::Exp(Tag(), hn::Min(hn::Neg(x), all(88)))));
}
HWY_ATTR HWY_INLINE float sum_of(Vector x) { return hn::GetLane(hn::SumOfLanes(Tag(), x)); }

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();
#endif
