#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gradients/adamw.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "gradients/adamw.h"
#include "kernels/matmul.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

HWY_ATTR void adamw_kernel(const AdamW& o, float step_size, float root_correction, float* value, const float* gradient, float* m, float* v, size_t n) {
  const Vector keep = all(1 - o.rate * o.decay);
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) {
    const Vector g = hn::Mul(all(o.gradient_scale), load(gradient + i, n - i));
    const Vector mean = hn::MulAdd(all(o.beta1), load(m + i, n - i), hn::Mul(all(1 - o.beta1), g));
    const Vector square = hn::MulAdd(all(o.beta2), load(v + i, n - i), hn::Mul(all(1 - o.beta2), hn::Mul(g, g)));
    const Vector below = hn::MulAdd(hn::Sqrt(square), all(root_correction), all(o.epsilon));
    store(mean, m + i, n - i);
    store(square, v + i, n - i);
    store(hn::NegMulAdd(all(step_size), hn::Div(mean, below), hn::Mul(keep, load(value + i, n - i))), value + i, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(adamw_kernel);

void adamw(const AdamW& o, float* value, const float* gradient, float* m, float* v, size_t n) {
  const double step = static_cast<double>(o.step);
  const float step_size = static_cast<float>(o.rate / (1 - std::pow(static_cast<double>(o.beta1), step)));
  const float root_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(static_cast<double>(o.beta2), step)));
  HWY_DYNAMIC_DISPATCH(adamw_kernel)(o, step_size, root_correction, value, gradient, m, v, n);
}

double sum_of_squares(const float* x, size_t n) {
  constexpr size_t piece = 4096;
  double sum = 0;
  for (size_t i = 0; i < n; i += piece) {
    const size_t count = std::min(piece, n - i);
    sum += static_cast<double>(dot(x + i, x + i, count));
  }
  return sum;
}

}  // namespace moiety
#endif
