// Gates of FFNs and of mixers' outputs, a vector at a time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/ops.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

// x[i] = f(x[i], y[i])
template <class Function>
HWY_ATTR void each(float* x, const float* y, size_t n, Function f) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(f(load(x + i, n - i), load(y + i, n - i)), x + i, n - i);
}

HWY_ATTR void silu_kernel(float* gate, const float* up, size_t n) {
  each(gate, up, n, [](Vector g, Vector u) HWY_ATTR { return hn::Mul(hn::Mul(g, sigmoid_of(g)), u); });
}

HWY_ATTR void times_sigmoid_kernel(float* x, const float* gate, size_t n) {
  each(x, gate, n, [](Vector v, Vector g) HWY_ATTR { return hn::IfThenElse(hn::Eq(g, g), hn::Mul(v, sigmoid_of(g)), g); });  // NaN stays NaN
}

HWY_ATTR void times_silu_kernel(float* x, const float* gate, size_t n) {
  each(x, gate, n, [](Vector v, Vector g) HWY_ATTR { return hn::Mul(v, hn::Mul(g, sigmoid_of(g))); });
}

// 0.5 x (1 + tanh(z)) = x sigmoid(2 z), z = 0.79788456 (x + 0.044715 x^3)
HWY_ATTR void gelu_tanh_kernel(float* gate, const float* up, size_t n) {
  each(gate, up, n, [](Vector g, Vector u) HWY_ATTR {
    const auto cube = hn::Mul(hn::Mul(g, g), g);
    const auto z = hn::Mul(all(2 * 0.79788456f), hn::MulAdd(all(0.044715f), cube, g));
    return hn::Mul(hn::Mul(g, sigmoid_of(z)), u);
  });
}

HWY_ATTR void clamped_swish_kernel(float* gate, const float* up, size_t n, float limit, float alpha) {
  each(gate, up, n, [limit, alpha](Vector g, Vector u) HWY_ATTR {
    const auto most = all(limit), least = all(-limit);  // comparisons, since Min and Max may lose a NaN
    const auto x = hn::IfThenElse(hn::Gt(g, most), most, g);
    const auto y = hn::IfThenElse(hn::Gt(u, most), most, hn::IfThenElse(hn::Lt(u, least), least, u));
    return hn::Mul(hn::Mul(hn::Add(y, all(1)), x), sigmoid_of(hn::Mul(all(alpha), x)));
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(silu_kernel);
HWY_EXPORT(times_sigmoid_kernel);
HWY_EXPORT(times_silu_kernel);
HWY_EXPORT(gelu_tanh_kernel);
HWY_EXPORT(clamped_swish_kernel);

void gated_silu(std::span<float> gate, std::span<const float> up) { HWY_DYNAMIC_DISPATCH(silu_kernel)(gate.data(), up.data(), gate.size()); }
void times_sigmoid(std::span<float> x, std::span<const float> gate) { HWY_DYNAMIC_DISPATCH(times_sigmoid_kernel)(x.data(), gate.data(), x.size()); }
void times_silu(std::span<float> x, std::span<const float> gate) { HWY_DYNAMIC_DISPATCH(times_silu_kernel)(x.data(), gate.data(), x.size()); }
void gated_gelu_tanh(std::span<float> gate, std::span<const float> up) {
  HWY_DYNAMIC_DISPATCH(gelu_tanh_kernel)(gate.data(), up.data(), gate.size());
}
void gated_clamped_swish(std::span<float> gate, std::span<const float> up, float limit, float alpha) {
  HWY_DYNAMIC_DISPATCH(clamped_swish_kernel)(gate.data(), up.data(), gate.size(), limit, alpha);
}

}  // namespace moiety
#endif
