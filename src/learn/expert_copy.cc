// kind = "copy": gives its input, so that a row may pass by.   Jin et al. 2024, "MoE++", arXiv 2410.07348; the identity of LongCat-Flash.
#include <ATen/TensorOperators.h>

#include "learn/expert_kind.h"
#include "learn/row_weights.h"

namespace moiety {
namespace {

class CopyGroup : public ExpertGroup {
 public:
  at::Tensor forward(const std::shared_ptr<const ExpertSlots>& slots, const at::Tensor& x, const at::Tensor& weight, Pass&) const override {
    return x * row_weights(*slots, weight).sum(-1, true);
  }
  size_t parameters() const override { return 0; }
};

}  // namespace

ExpertKindInfo copy_experts() {
  return {"copy", "the input", "Jin et al. 2024, MoE++", false, [](const ExpertSite&) -> std::unique_ptr<ExpertGroup> { return std::make_unique<CopyGroup>(); }};
}

}  // namespace moiety
