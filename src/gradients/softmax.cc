#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gradients/softmax.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <cmath>
#include <limits>

#include "gradients/softmax.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

// `keep` gets each exponential and its place.
template <class Keep>
HWY_ATTR HWY_INLINE ExponentialSum sum_kernel(const float* x, size_t n, float scale, Keep keep) {
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  const size_t lanes = hn::Lanes(Tag());
  Vector most = all(lowest), sum = all(0);
  for (size_t i = 0; i < n; i += lanes) most = hn::Max(most, hn::Mul(all(scale), load(x + i, n - i, lowest)));
  most = hn::MaxOfLanes(Tag(), most);
  for (size_t i = 0; i < n; i += lanes) {
    const Vector e = hn::Exp(Tag(), hn::Sub(hn::Mul(all(scale), load(x + i, n - i, lowest)), most));
    keep(e, i);
    sum = hn::Add(sum, e);
  }
  return {hn::GetLane(most), sum_of(sum)};
}

HWY_ATTR float log_sum_exp_kernel(const float* x, size_t n, float scale) {
  return sum_kernel(x, n, scale, [](Vector, size_t) HWY_ATTR {}).log();
}

HWY_ATTR ExponentialSum exponentials_and_sum_kernel(float* x, size_t n, float scale) {
  return sum_kernel(x, n, scale, [x, n](Vector e, size_t i) HWY_ATTR { store(e, x + i, n - i); });
}

HWY_ATTR void exponentials_kernel(float* x, size_t n, float scale, float log_sum, float factor) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag()))
    store(hn::Mul(all(factor), hn::Exp(Tag(), hn::MulSub(all(scale), load(x + i, n - i), all(log_sum)))), x + i, n - i);
}

HWY_ATTR void softmax_gradient_kernel(const float* p, float* out, size_t n, float scale, float mean) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag()))
    store(hn::Mul(hn::Mul(all(scale), load(p + i, n - i)), hn::Sub(load(out + i, n - i), all(mean))), out + i, n - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(log_sum_exp_kernel);
HWY_EXPORT(exponentials_and_sum_kernel);
HWY_EXPORT(exponentials_kernel);
HWY_EXPORT(softmax_gradient_kernel);

float log_sum_exp(const float* x, size_t n, float scale) { return HWY_DYNAMIC_DISPATCH(log_sum_exp_kernel)(x, n, scale); }
ExponentialSum exponentials_and_sum(float* x, size_t n, float scale) { return HWY_DYNAMIC_DISPATCH(exponentials_and_sum_kernel)(x, n, scale); }
void exponentials(float* x, size_t n, float scale, float log_sum, float factor) { HWY_DYNAMIC_DISPATCH(exponentials_kernel)(x, n, scale, log_sum, factor); }
void softmax_gradient(const float* p, float* d, size_t n, float scale, float mean) { HWY_DYNAMIC_DISPATCH(softmax_gradient_kernel)(p, d, n, scale, mean); }

}  // namespace moiety
#endif
