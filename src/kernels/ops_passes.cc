// Passes over a row that do one thing with each number, a vector at a time. Each number's bits depend on the number alone.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/ops_passes.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "kernels/ops.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

HWY_ATTR void add_pass(float* x, const float* y, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(hn::Add(load(x + i, n - i), load(y + i, n - i)), x + i, n - i);
}

HWY_ATTR void add_scaled_pass(float* x, const float* y, float s, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(hn::Add(load(x + i, n - i), hn::Mul(all(s), load(y + i, n - i))), x + i, n - i);
}

HWY_ATTR void scale_pass(const float* x, float s, float* out, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(hn::Mul(load(x + i, n - i), all(s)), out + i, n - i);
}

HWY_ATTR void weigh_pass(const float* x, float s, const float* weight, float* out, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(hn::Mul(hn::Mul(load(x + i, n - i), all(s)), load(weight + i, n - i)), out + i, n - i);
}

HWY_ATTR bool finite_pass(const float* x, size_t n) {
  Vector off = all(0);  // x - x is 0, or NaN, which stays
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) {
    const Vector v = load(x + i, n - i);
    off = hn::Add(off, hn::Sub(v, v));
  }
  return hn::AllTrue(Tag(), hn::Eq(off, all(0)));
}

HWY_ATTR void soft_cap_pass(float* x, float cap, size_t n) {
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) store(hn::Mul(all(cap), hn::Tanh(Tag(), hn::Div(load(x + i, n - i), all(cap)))), x + i, n - i);
}

// The sum over x - mean, or over its squares, in double precision.
template <bool squares>
HWY_ATTR double centred_sum(const float* x, float mean, size_t n) {
  const hn::ScalableTag<double> tag;
  const hn::Rebind<float, decltype(tag)> narrow;
  const size_t lanes = hn::Lanes(tag);
  auto sums = hn::Zero(tag);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto v = hn::PromoteTo(tag, hn::Sub(hn::LoadU(narrow, x + i), hn::Set(narrow, mean)));
    sums = squares ? hn::MulAdd(v, v, sums) : hn::Add(sums, v);
  }
  double sum = hn::GetLane(hn::SumOfLanes(tag, sums));
  for (; i < n; i++) sum += squares ? double{x[i] - mean} * (x[i] - mean) : x[i] - mean;
  return sum;
}

HWY_ATTR void layer_norm_pass(const float* x, const float* weight, const float* bias, float eps, float* out, size_t n) {
  const float mean = static_cast<float>(centred_sum<false>(x, 0, n) / static_cast<double>(n));
  const float factor = 1 / std::sqrt(static_cast<float>(centred_sum<true>(x, mean, n) / static_cast<double>(n)) + eps);
  for (size_t i = 0; i < n; i += hn::Lanes(Tag())) {
    Vector v = hn::Mul(hn::Sub(load(x + i, n - i), all(mean)), all(factor));
    if (weight) v = hn::Mul(v, load(weight + i, n - i));
    if (bias) v = hn::Add(v, load(bias + i, n - i));
    store(v, out + i, n - i);
  }
}

// Returns how many pairs were turned: whole vectors of them.
HWY_ATTR size_t rotate_pass(const float* x, const float* cosines, const float* sines, bool interleaved, float* out, size_t n) {
  const Tag tag;
  const size_t lanes = hn::Lanes(tag);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Vector a, b;
    if (interleaved) hn::LoadInterleaved2(tag, x + 2 * i, a, b);
    else a = hn::LoadU(tag, x + i), b = hn::LoadU(tag, x + i + n);
    const Vector c = hn::LoadU(tag, cosines + i), s = hn::LoadU(tag, sines + i);
    const Vector first = hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), second = hn::Add(hn::Mul(b, c), hn::Mul(a, s));
    if (interleaved) hn::StoreInterleaved2(first, second, tag, out + 2 * i);
    else hn::StoreU(first, tag, out + i), hn::StoreU(second, tag, out + i + n);
  }
  return i;
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(add_pass);
HWY_EXPORT(add_scaled_pass);
HWY_EXPORT(scale_pass);
HWY_EXPORT(weigh_pass);
HWY_EXPORT(finite_pass);
HWY_EXPORT(soft_cap_pass);
HWY_EXPORT(layer_norm_pass);
HWY_EXPORT(rotate_pass);

void add(std::span<float> x, std::span<const float> y) { HWY_DYNAMIC_DISPATCH(add_pass)(x.data(), y.data(), x.size()); }
void add_scaled(std::span<float> x, std::span<const float> y, float s) { HWY_DYNAMIC_DISPATCH(add_scaled_pass)(x.data(), y.data(), s, x.size()); }
void scale(std::span<float> x, float s) { HWY_DYNAMIC_DISPATCH(scale_pass)(x.data(), s, x.data(), x.size()); }
bool all_finite(std::span<const float> x) { return HWY_DYNAMIC_DISPATCH(finite_pass)(x.data(), x.size()); }
void soft_cap(std::span<float> x, float cap) { HWY_DYNAMIC_DISPATCH(soft_cap_pass)(x.data(), cap, x.size()); }

void layer_norm(std::span<const float> x, std::span<const float> weight, std::span<const float> bias, float eps, std::span<float> out) {
  HWY_DYNAMIC_DISPATCH(layer_norm_pass)(x.data(), weight.empty() ? nullptr : weight.data(), bias.empty() ? nullptr : bias.data(), eps, out.data(), x.size());
}

void weigh(std::span<const float> x, float s, std::span<const float> weight, std::span<float> out) {
  if (weight.empty()) HWY_DYNAMIC_DISPATCH(scale_pass)(x.data(), s, out.data(), x.size());
  else HWY_DYNAMIC_DISPATCH(weigh_pass)(x.data(), s, weight.data(), out.data(), x.size());
}

void rotate(std::span<const float> x, std::span<const float> cosines, std::span<const float> sines, bool interleaved, float* out) {
  const size_t n = cosines.size();
  for (size_t i = HWY_DYNAMIC_DISPATCH(rotate_pass)(x.data(), cosines.data(), sines.data(), interleaved, out, n); i < n; i++) {
    const size_t at = interleaved ? 2 * i : i, pair = interleaved ? at + 1 : at + n;
    const float a = x[at], b = x[pair];
    out[at] = a * cosines[i] - b * sines[i];
    out[pair] = b * cosines[i] + a * sines[i];
  }
}

}  // namespace moiety
#endif
