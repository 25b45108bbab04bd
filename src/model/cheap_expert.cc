#include "model/cheap_expert.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/matmul.h"

namespace moiety {

CheapExpert::CheapExpert(const ExpertView& view, const Buffer& x, Workers& workers) : kind_(view.kind) {
  if (kind_ != ExpertKind::constant) return;
  const Matrix *share = view.find(PartRole::share), *vector = view.find(PartRole::vector);
  if (!share || !vector) throw Error("a constant expert lacks its matrix or its vector");
  vector_ = reinterpret_cast<const float*>(vector->data);
  shares_.resize(2 * x.rows());
  Activations input{ConstRows(x)};
  matmul(*share, input, {shares_.data(), x.rows(), 2, 2}, workers);
  for (size_t t = 0; t < x.rows(); t++) {  // softmax of two
    const float a = 1 / (1 + std::exp(shares_[2 * t + 1] - shares_[2 * t]));
    shares_[2 * t] = a, shares_[2 * t + 1] = 1 - a;
  }
}

void CheapExpert::output(std::span<const float> x, size_t i, size_t begin, std::span<float> y) const {
  for (size_t c = 0; c < y.size(); c++) {
    switch (kind_) {
      case ExpertKind::copy: y[c] = x[begin + c]; break;
      case ExpertKind::constant: y[c] = shares_[2 * i] * x[begin + c] + shares_[2 * i + 1] * vector_[begin + c]; break;
      default: y[c] = 0;
    }
  }
}

}  // namespace moiety
