// kind = "zero": adds nothing, so that a row may do with less.   Jin et al. 2024, "MoE++", arXiv 2410.07348.
#include "learn/expert_kind.h"

namespace moiety {
namespace {

class ZeroGroup : public ExpertGroup {
 public:
  at::Tensor forward(const std::shared_ptr<const ExpertSlots>&, const at::Tensor&, const at::Tensor&, Pass&) const override { return {}; }
  size_t parameters() const override { return 0; }
};

}  // namespace

ExpertKindInfo zero_experts() {
  return {"zero", "nothing", "Jin et al. 2024, MoE++", false, [](const ExpertSite&) -> std::unique_ptr<ExpertGroup> { return std::make_unique<ZeroGroup>(); }};
}

}  // namespace moiety
