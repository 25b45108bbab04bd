#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gradients/swiglu.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gradients/swiglu.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

HWY_ATTR void forward_kernel(const float* gate, const float* up, size_t n, float weight, float* hidden) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) {
    const Vector g = load(gate + i, n - i), u = load(up + i, n - i);
    store(hn::Mul(all(weight), hn::Mul(hn::Mul(g, sigmoid_of(g)), u)), hidden + i, n - i);
  }
}

HWY_ATTR float backward_kernel(const float* gate, const float* up, size_t n, float weight, const float* d_hidden, float* d_gate, float* d_up, float* hidden) {
  Vector sum = all(0);
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) {
    const Vector g = load(gate + i, n - i), u = load(up + i, n - i), dh = load(d_hidden + i, n - i);
    const Vector s = sigmoid_of(g), silu = hn::Mul(g, s), product = hn::Mul(silu, u), weighted = hn::Mul(all(weight), dh);
    const Vector slope = hn::Mul(s, hn::MulAdd(g, hn::Sub(all(1), s), all(1)));  // silu'(g) = s (1 + g (1 - s))
    sum = hn::MulAdd(dh, product, sum);
    store(hn::Mul(weighted, hn::Mul(u, slope)), d_gate + i, n - i);
    store(hn::Mul(weighted, silu), d_up + i, n - i);
    store(hn::Mul(all(weight), product), hidden + i, n - i);
  }
  return sum_of(sum);
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(forward_kernel);
HWY_EXPORT(backward_kernel);

void weighted_swiglu(std::span<const float> gate_up, float weight, std::span<float> hidden) {
  HWY_DYNAMIC_DISPATCH(forward_kernel)(gate_up.data(), gate_up.data() + hidden.size(), hidden.size(), weight, hidden.data());
}

float weighted_swiglu_gradient(std::span<const float> gate_up, float weight, std::span<const float> d_hidden, std::span<float> d_gate_up,
                               std::span<float> hidden) {
  const size_t n = hidden.size();
  return HWY_DYNAMIC_DISPATCH(backward_kernel)(gate_up.data(), gate_up.data() + n, n, weight, d_hidden.data(), d_gate_up.data(), d_gate_up.data() + n, hidden.data());
}

}  // namespace moiety
#endif
