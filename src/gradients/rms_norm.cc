#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gradients/rms_norm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "gradients/rms_norm.h"
#include "kernels/ops.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {

// dx = f (w dy) - x f^3 mean(w dy x); d_weight += dy x f
HWY_ATTR void norm_row_gradient(const float* x, const float* weight, float factor, const float* dy, float* dx, float* d_weight, size_t n) {
  const size_t lanes = hn::Lanes(Tag());
  Vector sum = all(0);
  for (size_t i = 0; i < n; i += lanes) sum = hn::MulAdd(hn::Mul(load(weight + i, n - i), load(dy + i, n - i)), load(x + i, n - i), sum);
  const Vector f = all(factor), less = all(factor * factor * factor * sum_of(sum) / static_cast<float>(n));
  for (size_t i = 0; i < n; i += lanes) {
    const Vector xi = load(x + i, n - i), g = hn::Mul(f, load(dy + i, n - i));
    store(hn::MulAdd(g, xi, load(d_weight + i, n - i)), d_weight + i, n - i);
    store(hn::NegMulAdd(less, xi, hn::Mul(g, load(weight + i, n - i))), dx + i, n - i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(norm_row_gradient);

namespace {
// The weight's gradient adds up over rows in pieces of this many, and then over pieces, whatever the threads.
constexpr size_t piece = 256;
}  // namespace

void rms_norm(ConstRows x, const float* weight, float eps, Rows y, float* factors, Workers& workers) {
  workers.run(x.rows, 32, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; r++) factors[r] = rms_norm({x[r], x.cols}, {weight, x.cols}, eps, {y[r], x.cols});
  });
}

void rms_norm_gradient(ConstRows x, const float* weight, const float* factors, ConstRows dy, Rows dx, float* d_weight, bool add, GradientRoom& room,
                       Workers& workers) {
  const size_t pieces = (x.rows + piece - 1) / piece;
  float* partial = at_least(room.partial, pieces * x.cols);
  const auto row = HWY_DYNAMIC_DISPATCH(norm_row_gradient);
  workers.run(pieces, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t p = begin; p < end; p++) {
      std::fill_n(partial + p * x.cols, x.cols, 0.0f);
      for (size_t r = p * piece; r < std::min(x.rows, (p + 1) * piece); r++) row(x[r], weight, factors[r], dy[r], dx[r], partial + p * x.cols, x.cols);
    }
  });
  if (!d_weight) return;
  if (!add) std::fill_n(d_weight, x.cols, 0.0f);
  for (size_t p = 0; p < pieces; p++)
    for (size_t i = 0; i < x.cols; i++) d_weight[i] += partial[p * x.cols + i];
}

}  // namespace moiety
#endif
