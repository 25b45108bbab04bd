// min_p(share, max): candidates whose score is at least `share` of the largest, at most max.
//
// The rule of min-p sampling (Nguyen et al. 2024, arXiv 2407.01082) applied to experts. Reads choose.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class MinP : public RowStage {
 public:
  MinP(float share, size_t max) : share_(share), max_(max) {}

  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    if (candidates.empty()) return;
    std::ranges::sort(candidates, chosen_before);
    const float least = share_ * candidates[0].choose;
    size_t count = 1;
    while (count < std::min(max_, candidates.size()) && candidates[count].choose >= least) count++;
    candidates.resize(count);
  }

 private:
  float share_;
  size_t max_;
};

}  // namespace

StageInfo min_p_stage() {
  return {.name = "min_p", .signature = "share:fraction, max:count=all",
          .meaning = "candidates whose score is at least this share of the largest, at most max", .source = "Nguyen et al. 2024, arXiv 2407.01082",
          .selects = true, .build = [](const Arguments& a, const StageSite&) -> AnyStage {
            return std::make_unique<MinP>(static_cast<float>(a.number("share")), a.count("max"));
          }};
}

}  // namespace moiety
