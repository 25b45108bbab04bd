// kind = "constant": [a, b] = softmax(W x), the output a x + b v with a vector v of its own.   Jin et al. 2024, "MoE++", arXiv 2410.07348.
#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include "learn/expert_kind.h"
#include "learn/function_linear.h"
#include "learn/function_parameter.h"
#include "learn/row_weights.h"

namespace moiety {
namespace {

class ConstantGroup : public ExpertGroup {
 public:
  explicit ConstantGroup(const ExpertSite& s) : arena_(s.arena), d_(s.d), count_(s.count) {
    share_ = arena_.declare(s.name("ffn_const"), {count_, 2, d_}, {0, s.deviation});
    vector_ = arena_.declare(s.name("ffn_const", ".bias"), {count_, d_}, {0, s.deviation});
  }

  // All experts for all rows: a router's width of work.
  at::Tensor forward(const std::shared_ptr<const ExpertSlots>& slots, const at::Tensor& x, const at::Tensor& weight, Pass& pass) const override {
    const at::Tensor shares = at::softmax(linear(x, arena_.value(share_).view({2 * count_, d_}), pass).view({x.size(0), count_, 2}), -1);  // [rows, count, 2]
    const at::Tensor weighted = shares * row_weights(*slots, weight).unsqueeze(-1);
    return x * weighted.select(-1, 0).sum(-1, true) + at::matmul(weighted.select(-1, 1), in_graph(arena_.value(vector_), pass));
  }

  size_t parameters() const override { return static_cast<size_t>(3 * d_); }

 private:
  Arena& arena_;
  int64_t d_, count_;
  size_t share_, vector_;
};

}  // namespace

ExpertKindInfo constant_experts() {
  return {"constant", "a x + b v with [a, b] = softmax(W x) and a vector v", "Jin et al. 2024, MoE++", false,
          [](const ExpertSite& site) -> std::unique_ptr<ExpertGroup> { return std::make_unique<ConstantGroup>(site); }};
}

}  // namespace moiety
