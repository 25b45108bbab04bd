#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/logits.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "kernels/logits.h"
#include "kernels/vectors-inl.h"

#ifndef MOIETY_LOGITS_BLOCK
#define MOIETY_LOGITS_BLOCK
namespace moiety {
namespace {
constexpr size_t block = 64;  // a multiple of a vector's numbers
}
}  // namespace moiety
#endif

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

constexpr float none = -std::numeric_limits<float>::infinity(), infinity = std::numeric_limits<float>::infinity();

// Highway's emulated vectors take the lowest finite number for less than minus infinity.
HWY_ATTR HWY_INLINE float largest_of(Vector v) {
  return hn::AllTrue(Tag(), hn::Eq(v, all(none))) ? none : hn::GetLane(hn::MaxOfLanes(Tag(), v));
}

HWY_ATTR float largest_pass(const float* x, size_t n) {
  const Tag tag;
  Vector most = all(none);
  hn::Mask<Tag> fine = hn::Eq(most, most);
  for (size_t i = 0; i < n; i += hn::Lanes(tag)) {
    const Vector v = load(x + i, n - i, none);
    fine = hn::And(fine, hn::Lt(v, all(infinity)));  // false of NaN, too
    most = hn::Max(most, v);
  }
  return hn::AllTrue(tag, fine) ? largest_of(most) : std::numeric_limits<float>::quiet_NaN();
}

// maxima [n / block] of whole blocks
HWY_ATTR void maxima_pass(const float* x, size_t n, float* maxima) {
  const Tag tag;
  for (size_t b = 0; (b + 1) * block <= n; b++) {
    Vector most = all(none);
    for (size_t i = 0; i < block; i += hn::Lanes(tag)) most = hn::Max(most, hn::LoadU(tag, x + b * block + i));
    maxima[b] = largest_of(most);
  }
}

HWY_ATTR void places_pass(const float* x, size_t n, float least, std::vector<int32_t>& out) {
  const Tag tag;
  const size_t lanes = hn::Lanes(tag);
  for (size_t i = 0; i < n; i += lanes) {
    if (hn::AllFalse(tag, hn::Ge(load(x + i, n - i, std::numeric_limits<float>::quiet_NaN()), all(least)))) continue;
    for (size_t k = i; k < std::min(n, i + lanes); k++)
      if (x[k] >= least) out.push_back(static_cast<int32_t>(k));
  }
}

HWY_ATTR double exp_pass(const float* x, size_t n, float top, double factor) {
  const hn::ScalableTag<double> tag;
  const hn::Rebind<float, decltype(tag)> narrow;
  const size_t lanes = hn::Lanes(tag);
  const auto scale = hn::Set(tag, factor), offset = hn::Set(tag, top), lowest = hn::Set(tag, -700.0);
  HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(double)];
  auto sum = hn::Zero(tag);
  for (size_t i = 0; i < n; i += lanes) {
    const float* some = x + i;
    if (n - i < lanes) {
      std::fill_n(std::copy_n(x + i, n - i, rest), lanes - (n - i), none);
      some = rest;
    }
    const auto power = hn::Mul(hn::Sub(hn::PromoteTo(tag, hn::LoadU(narrow, some)), offset), scale);
    sum = hn::Add(sum, hn::IfThenElseZero(hn::Ge(power, lowest), hn::Exp(tag, hn::Max(power, lowest))));
  }
  return hn::GetLane(hn::SumOfLanes(tag, sum));
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(largest_pass);
HWY_EXPORT(maxima_pass);
HWY_EXPORT(places_pass);
HWY_EXPORT(exp_pass);

float largest(std::span<const float> x) { return HWY_DYNAMIC_DISPATCH(largest_pass)(x.data(), x.size()); }

// The k-th largest of the blocks' maxima: each of those blocks has a number that large.
float reached_by(std::span<const float> x, size_t k) {
  std::vector<float> maxima(x.size() / block);
  if (k == 0 || k > maxima.size()) return -std::numeric_limits<float>::infinity();
  HWY_DYNAMIC_DISPATCH(maxima_pass)(x.data(), x.size(), maxima.data());
  const auto place = maxima.begin() + static_cast<ptrdiff_t>(k - 1);
  std::nth_element(maxima.begin(), place, maxima.end(), std::greater());
  return *place;
}

std::vector<int32_t> places_from(std::span<const float> x, float least) {
  std::vector<int32_t> out;
  HWY_DYNAMIC_DISPATCH(places_pass)(x.data(), x.size(), least, out);
  return out;
}

double sum_of_exp(std::span<const float> x, float top, double factor) { return HWY_DYNAMIC_DISPATCH(exp_pass)(x.data(), x.size(), top, factor); }

}  // namespace moiety
#endif
