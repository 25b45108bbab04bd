// top_k(k): the k candidates of largest score.
//
// Shazeer et al. 2017 (arXiv 1701.06538). Equal scores go to the lower id, so that the choice never depends on the sort.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class TopK : public RowStage {
 public:
  explicit TopK(uint32_t k) : k_(k) {}

  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    const size_t k = std::min<size_t>(k_, candidates.size());
    std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(k), candidates.end(), chosen_before);
    candidates.resize(k);
  }

 private:
  uint32_t k_;
};

}  // namespace

StageInfo top_k_stage() {
  return {.name = "top_k", .signature = "k:count", .meaning = "the k candidates of largest score",
          .source = "Shazeer et al. 2017, arXiv 1701.06538", .selects = true,
          .build = [](const Arguments& a, const StageSite& site) -> AnyStage {
            if (a.count("k") != UINT32_MAX && a.count("k") > site.experts)
              throw UsageError("routing stage top_k: k is {}, layer {} has {} experts", a.count("k"), site.layer, site.experts);
            return std::make_unique<TopK>(a.count("k"));
          }};
}

}  // namespace moiety
