// keep(k): of what was chosen, the k of largest final weight; ties go to the lower id. Reads weigh.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class Keep : public RowStage {
 public:
  explicit Keep(uint32_t k) : k_(k) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    std::ranges::sort(candidates, weighs_more);
    if (candidates.size() > k_) candidates.resize(k_);
  }

 private:
  uint32_t k_;
};

}  // namespace

StageInfo keep_stage() {
  return {.name = "keep", .signature = "k:count", .meaning = "of what was chosen, the k of largest final weight",
          .source = "Lu et al. 2024, arXiv 2402.14800", .selects = true,
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Keep>(a.count("k")); }};
}

}  // namespace moiety
