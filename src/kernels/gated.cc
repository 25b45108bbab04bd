// The gates of FFNs, a vector at a time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>

#include "kernels/ops.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// gate[i] = f(gate[i], up[i]); what a vector does not fill is computed in one filled up with zeros.
template <class Function>
HWY_ATTR void each(float* gate, const float* up, size_t n, Function f) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(f(d, hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, gate + i);
  if (i == n) return;
  HWY_ALIGN float g[HWY_MAX_BYTES / sizeof(float)] = {}, u[HWY_MAX_BYTES / sizeof(float)] = {};
  std::copy(gate + i, gate + n, g);
  std::copy(up + i, up + n, u);
  hn::Store(f(d, hn::Load(d, g), hn::Load(d, u)), d, g);
  std::copy(g, g + (n - i), gate + i);
}

// 1 / (1 + exp(-x)); far below, exp(-x) stays finite, since Exp's argument is kept where it is right.
template <class D, class V>
HWY_ATTR V sigmoid_of(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0f)))));
}

HWY_ATTR void silu_kernel(float* gate, const float* up, size_t n) {
  each(gate, up, n, [](auto d, auto g, auto u) HWY_ATTR { return hn::Mul(hn::Mul(g, sigmoid_of(d, g)), u); });
}

// 0.5 x (1 + tanh(z)) = x sigmoid(2 z), z = 0.79788456 (x + 0.044715 x^3)
HWY_ATTR void gelu_tanh_kernel(float* gate, const float* up, size_t n) {
  each(gate, up, n, [](auto d, auto g, auto u) HWY_ATTR {
    const auto cube = hn::Mul(hn::Mul(g, g), g);
    const auto z = hn::Mul(hn::Set(d, 2 * 0.79788456f), hn::MulAdd(hn::Set(d, 0.044715f), cube, g));
    return hn::Mul(hn::Mul(g, sigmoid_of(d, z)), u);
  });
}

HWY_ATTR void clamped_swish_kernel(float* gate, const float* up, size_t n, float limit, float alpha) {
  each(gate, up, n, [limit, alpha](auto d, auto g, auto u) HWY_ATTR {
    const auto most = hn::Set(d, limit);
    const auto x = hn::Min(g, most), y = hn::Min(hn::Max(u, hn::Neg(most)), most);
    return hn::Mul(hn::Mul(hn::Add(y, hn::Set(d, 1.0f)), x), sigmoid_of(d, hn::Mul(hn::Set(d, alpha), x)));
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(silu_kernel);
HWY_EXPORT(gelu_tanh_kernel);
HWY_EXPORT(clamped_swish_kernel);

void gated_silu(std::span<float> gate, std::span<const float> up) { HWY_DYNAMIC_DISPATCH(silu_kernel)(gate.data(), up.data(), gate.size()); }
void gated_gelu_tanh(std::span<float> gate, std::span<const float> up) {
  HWY_DYNAMIC_DISPATCH(gelu_tanh_kernel)(gate.data(), up.data(), gate.size());
}
void gated_clamped_swish(std::span<float> gate, std::span<const float> up, float limit, float alpha) {
  HWY_DYNAMIC_DISPATCH(clamped_swish_kernel)(gate.data(), up.data(), gate.size(), limit, alpha);
}

}  // namespace moiety
#endif
