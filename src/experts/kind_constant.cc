// a x + b v with [a, b] = softmax(share x) and v the part `vector`.   Jin et al. 2024, "MoE++", arXiv 2410.07348.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "experts/bank.h"
#include "kernels/matmul.h"

namespace moiety {
namespace {

class Constant : public RowExpert {
 public:
  Constant(const Matrix& share, const float* vector, ConstRows x, std::span<const uint32_t> rows, Workers& workers) : vector_(vector), shares_(2 * rows.size()) {
    std::vector<float> input(rows.size() * x.cols);
    for (size_t i = 0; i < rows.size(); i++) std::copy_n(x[rows[i]], x.cols, input.data() + i * x.cols);
    Activations activations{ConstRows{input.data(), rows.size(), x.cols, x.cols}};
    matmul(share, activations, {shares_.data(), rows.size(), 2, 2}, workers);
    for (size_t i = 0; i < rows.size(); i++) {  // softmax of two
      const float a = 1 / (1 + std::exp(shares_[2 * i + 1] - shares_[2 * i]));
      shares_[2 * i] = a, shares_[2 * i + 1] = 1 - a;
    }
  }
  void output(std::span<const float> x, size_t i, size_t begin, std::span<float> y) const override {
    for (size_t c = 0; c < y.size(); c++) y[c] = shares_[2 * i] * x[begin + c] + shares_[2 * i + 1] * vector_[begin + c];
  }

 private:
  const float* vector_;
  std::vector<float> shares_;  // [rows, 2]
};

std::unique_ptr<RowExpert> serve(const ExpertView& expert, ConstRows x, std::span<const uint32_t> rows, Workers& workers) {
  const Matrix *share = expert.find(PartRole::share), *vector = expert.find(PartRole::vector);
  if (!share || !vector) throw Error("a constant expert lacks its matrix or its vector");
  return std::make_unique<Constant>(*share, reinterpret_cast<const float*>(vector->data), x, rows, workers);
}

constexpr PartShape parts[] = {{PartRole::share, "ffn_const", PartSize::two, PartSize::model}, {PartRole::vector, "ffn_const", PartSize::model, {}}};

}  // namespace

extern const ExpertKind constant_expert;
constinit const ExpertKind constant_expert = {.name = "constant", .config_name = "constant", .parts = parts, .serve = serve};

}  // namespace moiety
