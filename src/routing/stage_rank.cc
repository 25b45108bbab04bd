// rank(n): only the candidate of the n-th largest score (1 is the best). Shi et al. 2024, "Unchosen Experts Can Contribute Too"
// (SCMoE), arXiv 2405.14507, uses rank 2 as the weak routing. Reads choose.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class Rank : public RowStage {
 public:
  explicit Rank(size_t n) : n_(n) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    std::ranges::sort(candidates, chosen_before);
    if (n_ > candidates.size()) return candidates.clear();
    candidates = {candidates[n_ - 1]};
  }

 private:
  size_t n_;
};

}  // namespace

StageInfo rank_stage() {
  return {.name = "rank", .signature = "n:count", .meaning = "only the candidate of the n-th largest score", .source = "Shi et al. 2024, arXiv 2405.14507",
          .selects = true, .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Rank>(a.count("n")); }};
}

}  // namespace moiety
