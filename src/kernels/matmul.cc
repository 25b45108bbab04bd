// One source for every instruction set: Highway compiles the part between HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE once for
// each, and the best that the machine has is chosen at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <vector>

#include "formats/codec.h"
#include "kernels/matmul.h"
#include "kernels/panel_product.h"

HWY_BEFORE_NAMESPACE();
namespace moiety {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// out[r * T + t] = w[r] . x[t] over n numbers. Every one of the R x T sums runs on its own: lane by lane over the columns, the tail
// filled up with zeros, the lanes added at the end. So a sum does not know how large the tile is that it stands in.
template <size_t R, size_t T>
HWY_ATTR void tile(const float* const* w, const float* const* x, size_t n, float* out) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  using V = hn::Vec<decltype(d)>;
  V sums[R][T];
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < T; t++) sums[r][t] = hn::Zero(d);
  size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    V columns[T];
    for (size_t t = 0; t < T; t++) columns[t] = hn::LoadU(d, x[t] + i);
    for (size_t r = 0; r < R; r++) {
      const V row = hn::LoadU(d, w[r] + i);
      for (size_t t = 0; t < T; t++) sums[r][t] = hn::MulAdd(row, columns[t], sums[r][t]);
    }
  }
  if (i < n) {
    HWY_ALIGN float row[HWY_MAX_BYTES / sizeof(float)] = {}, column[HWY_MAX_BYTES / sizeof(float)] = {};
    for (size_t r = 0; r < R; r++) {
      std::copy(w[r] + i, w[r] + n, row);
      for (size_t t = 0; t < T; t++) {
        std::copy(x[t] + i, x[t] + n, column);
        sums[r][t] = hn::MulAdd(hn::Load(d, row), hn::Load(d, column), sums[r][t]);
      }
    }
  }
  for (size_t r = 0; r < R; r++)
    for (size_t t = 0; t < T; t++) out[r * T + t] = hn::GetLane(hn::SumOfLanes(d, sums[r][t]));
}

template <size_t R>
HWY_ATTR void rows_times(const float* const* w, ConstRows x, size_t n, Rows y, size_t column) {
  float out[R * 3];
  size_t t = 0;
  for (; t + 3 <= x.rows; t += 3) {
    const float* three[3] = {x[t], x[t + 1], x[t + 2]};
    tile<R, 3>(w, three, n, out);
    for (size_t r = 0; r < R; r++)
      for (size_t k = 0; k < 3; k++) y[t + k][column + r] = out[r * 3 + k];
  }
  for (; t < x.rows; t++) {
    const float* one[1] = {x[t]};
    tile<R, 1>(w, one, n, out);
    for (size_t r = 0; r < R; r++) y[t][column + r] = out[r];
  }
}

HWY_ATTR void four_rows(const float* const* w, ConstRows x, size_t n, Rows y, size_t column) { rows_times<4>(w, x, n, y, column); }
HWY_ATTR void one_row(const float* const* w, ConstRows x, size_t n, Rows y, size_t column) { rows_times<1>(w, x, n, y, column); }

HWY_ATTR float dot_product(const float* a, const float* b, size_t n) {
  float out;
  tile<1, 1>(&a, &b, n, &out);
  return out;
}

}  // namespace HWY_NAMESPACE
}  // namespace moiety
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace moiety {

HWY_EXPORT(four_rows);
HWY_EXPORT(one_row);
HWY_EXPORT(dot_product);

float dot(const float* a, const float* b, size_t n) { return HWY_DYNAMIC_DISPATCH(dot_product)(a, b, n); }

void matmul_rows(const Matrix& w, size_t begin, size_t end, ConstRows x, Rows y) {
  // Tokens in blocks that stay in the second-level cache while all rows of W pass by.
  constexpr size_t cache_floats = size_t{64} << 10;
  const size_t block = std::clamp<size_t>(cache_floats / std::max<size_t>(1, w.cols) / 3 * 3, 3, 96);
  static thread_local std::vector<float> decoded;
  if (w.type != TensorType::f32) decoded.resize(std::max(decoded.size(), 4 * w.cols));
  const auto four = HWY_DYNAMIC_DISPATCH(four_rows);
  const auto one = HWY_DYNAMIC_DISPATCH(one_row);
  for (size_t t = 0; t < x.rows; t += block) {
    const size_t tokens = std::min(block, x.rows - t);
    const ConstRows some{x[t], tokens, x.cols, x.stride};
    const Rows out{y[t], tokens, y.cols, y.stride};
    for (size_t r = begin; r < end;) {
      const size_t count = r + 4 <= end ? 4 : 1;
      const float* rows[4];
      for (size_t k = 0; k < count; k++) {
        if (w.type == TensorType::f32 && reinterpret_cast<uintptr_t>(w.row(r + k)) % alignof(float) == 0) {
          rows[k] = reinterpret_cast<const float*>(w.row(r + k));
        } else {
          decoded.resize(std::max(decoded.size(), 4 * w.cols));
          decode(w.type, w.row(r + k), {decoded.data() + k * w.cols, w.cols});
          rows[k] = decoded.data() + k * w.cols;
        }
      }
      (count == 4 ? four : one)(rows, some, w.cols, out, r - begin);
      r += count;
    }
  }
}

void matmul(const Matrix& w, Activations& activations, Rows y, Workers& workers) {
  if (w.panels) {
    const MatrixProduct one{&w, y};
    return panel_products({&one, 1}, activations, workers);
  }
  const ConstRows x = activations.floats();
  const size_t work = w.cols * std::max<size_t>(1, x.rows);
  const size_t grain = std::clamp<size_t>((size_t{1} << 16) / std::max<size_t>(1, work) / 4 * 4, 4, 256);
  workers.run(w.rows, grain, [&](size_t begin, size_t end, size_t) {
    matmul_rows(w, begin, end, x, Rows{y.data + begin, y.rows, end - begin, y.stride});
  });
}

void matmul_alone(const Matrix& w, ConstRows x, Rows y) {
  if (w.panels) panel_product(w, x, y);
  else matmul_rows(w, 0, w.rows, x, y);
}

void matmul(std::span<const MatrixProduct> products, Activations& x, Workers& workers) {
  if (std::ranges::all_of(products, [](const MatrixProduct& p) { return p.w->panels != nullptr; })) return panel_products(products, x, workers);
  for (const MatrixProduct& p : products) matmul(*p.w, x, p.y, workers);
}

}  // namespace moiety
#endif
