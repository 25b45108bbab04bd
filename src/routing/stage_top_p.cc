// top_p(p, max): the fewest experts whose weights sum to p, at most max.
//
// An unsure token gets more experts than a sure one. Huang et al. 2024, "Harder Tasks Need More Experts", arXiv 2403.07652, eq. 5.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class TopP : public RowStage {
 public:
  TopP(float p, size_t max) : p_(p), max_(max) {}

  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    std::ranges::sort(candidates, chosen_before);
    float mass = 0;
    size_t count = 0;
    while (count < std::min(max_, candidates.size()) && (mass < p_ || count == 0)) mass += candidates[count++].choose;
    candidates.resize(count);
  }

 private:
  float p_;
  size_t max_;
};

}  // namespace

StageInfo top_p_stage() {
  return {.name = "top_p", .signature = "p:fraction, max:count=all", .meaning = "the fewest experts whose weights sum to p, at most max; at least one",
          .source = "Huang et al. 2024, arXiv 2403.07652, eq. 5", .selects = true,
          .build = [](const Arguments& a, const StageSite&) -> AnyStage {
            return std::make_unique<TopP>(static_cast<float>(a.number("p")), a.count("max"));
          }};
}

}  // namespace moiety
