// The gates of FFNs, a vector at a time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/ops.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

// gate[i] = f(gate[i], up[i])
template <class Function>
HWY_ATTR void each(float* gate, const float* up, size_t n, Function f) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(f(load(gate + i, n - i), load(up + i, n - i)), gate + i, n - i);
}

HWY_ATTR void silu_kernel(float* gate, const float* up, size_t n) {
  each(gate, up, n, [](Vector g, Vector u) HWY_ATTR { return hn::Mul(hn::Mul(g, sigmoid_of(g)), u); });
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
    const auto most = all(limit);
    const auto x = hn::Min(g, most), y = hn::Min(hn::Max(u, hn::Neg(most)), most);
    return hn::Mul(hn::Mul(hn::Add(y, all(1)), x), sigmoid_of(hn::Mul(all(alpha), x)));
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
