#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/delta_rule.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/delta_rule.h"
#include "kernels/vectors-inl.h"

#ifndef MOIETY_DELTA_HEAD
#define MOIETY_DELTA_HEAD
namespace moiety {
namespace {

struct Head {
  const float *decay, *key, *query;
  size_t keys, values;
  float beta;
};

}  // namespace
}  // namespace moiety
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

// N vectors of values, the last of which may have but `count` of them, from column 0 of what the pointers name. The state is read twice and written once.
template <int N>
HWY_ATTR HWY_INLINE void columns(const Head& h, float* state, const float* value, float* out, size_t count) {
  const size_t lanes = hn::Lanes(Tag());
  Vector sums[N], errors[N];
  for (int n = 0; n < N; n++) sums[n] = all(0);
  for (size_t i = 0; i < h.keys; i++) {
    const Vector factor = all(h.decay[i] * h.key[i]);
    for (int n = 0; n < N; n++) sums[n] = hn::MulAdd(load(state + i * h.values + n * lanes, count - n * lanes), factor, sums[n]);
  }
  for (int n = 0; n < N; n++) {
    errors[n] = hn::Mul(hn::Sub(load(value + n * lanes, count - n * lanes), sums[n]), all(h.beta));
    sums[n] = all(0);
  }
  for (size_t i = 0; i < h.keys; i++) {
    const Vector decay = all(h.decay[i]), key = all(h.key[i]), query = all(h.query[i]);
    for (int n = 0; n < N; n++) {
      float* at = state + i * h.values + n * lanes;
      const Vector s = hn::MulAdd(key, errors[n], hn::Mul(decay, load(at, count - n * lanes)));
      store(s, at, count - n * lanes);
      sums[n] = hn::MulAdd(s, query, sums[n]);
    }
  }
  for (int n = 0; n < N; n++) store(sums[n], out + n * lanes, count - n * lanes);
}

HWY_ATTR void step_kernel(const Head& h, float* state, const float* value, float* out) {
  const size_t lanes = hn::Lanes(Tag());
  size_t j = 0;
  for (; j + 4 * lanes <= h.values; j += 4 * lanes) columns<4>(h, state + j, value + j, out + j, 4 * lanes);
  for (; j < h.values; j += lanes) columns<1>(h, state + j, value + j, out + j, h.values - j);
}

HWY_ATTR HWY_INLINE Vector softplus_of(Vector x) {
  return hn::IfThenElse(hn::Gt(x, all(20)), x, hn::Log1p(Tag(), hn::Exp(Tag(), hn::Min(x, all(20)))));
}

HWY_ATTR void decays_kernel(const float* x, float rate, const float* bound, float* decay, size_t n) {
  const Tag tag;
  for (size_t i = 0; i < n; i += hn::Lanes(tag)) {
    const Vector v = load(x + i, n - i);
    const Vector logarithm = bound ? hn::Mul(all(*bound), sigmoid_of(hn::Mul(all(-rate), v))) : hn::Mul(all(rate), softplus_of(v));
    store(hn::IfThenElse(hn::Eq(v, v), hn::Exp(tag, hn::Min(logarithm, all(88))), v), decay + i, n - i);  // NaN stays NaN
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(step_kernel);
HWY_EXPORT(decays_kernel);

void delta_step(std::span<float> state, std::span<const float> decay, std::span<const float> key, std::span<const float> query,
                std::span<const float> value, float beta, std::span<float> out) {
  HWY_DYNAMIC_DISPATCH(step_kernel)({decay.data(), key.data(), query.data(), key.size(), value.size(), beta}, state.data(), value.data(), out.data());
}

void delta_decays(std::span<const float> x, float rate, std::optional<float> bound, std::span<float> decay) {
  HWY_DYNAMIC_DISPATCH(decays_kernel)(x.data(), rate, bound ? &*bound : nullptr, decay.data(), x.size());
}

}  // namespace moiety
#endif
