#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/convolution.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/convolution.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

HWY_ATTR void convolve_kernel(const float* taps, size_t length, const float* bias, float* history, size_t stride, float* x, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) {
    const size_t count = n - i;
    const Vector fresh = load(x + i, count);
    Vector sum = bias ? load(bias + i, count) : all(0);
    for (size_t j = 0; j + 1 < length; j++) {
      const Vector old = load(history + j * stride + i, count);
      sum = hn::MulAdd(load(taps + j * n + i, count), old, sum);
      if (j > 0) store(old, history + (j - 1) * stride + i, count);
    }
    if (length > 1) store(fresh, history + (length - 2) * stride + i, count);
    store(hn::MulAdd(load(taps + (length - 1) * n + i, count), fresh, sum), x + i, count);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(convolve_kernel);

void convolve(std::span<const float> taps, std::span<const float> bias, float* history, size_t stride, std::span<float> x) {
  if (x.empty()) return;
  HWY_DYNAMIC_DISPATCH(convolve_kernel)(taps.data(), taps.size() / x.size(), bias.empty() ? nullptr : bias.data(), history, stride, x.data(), x.size());
}

}  // namespace moiety
#endif
