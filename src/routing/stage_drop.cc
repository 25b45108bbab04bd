// drop(experts) and only(experts): candidates that are named go, or only they stay.
//
// Before a selection the next expert moves up; after it the plan gets thinner. Experts of other layers in the list do not matter.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class Filter : public RowStage {
 public:
  Filter(std::vector<ExpertRange> ranges, bool keep_named) : ranges_(std::move(ranges)), keep_named_(keep_named) {}
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    const bool concerns = std::ranges::any_of(ranges_, [&](const ExpertRange& r) { return r.layer < 0 || r.layer == in.layer; });
    if (!concerns) return;
    std::erase_if(candidates, [&](const Candidate& c) {
      const bool named = std::ranges::any_of(ranges_, [&](const ExpertRange& r) { return r.holds(in.layer, c.expert); });
      return named != keep_named_;
    });
  }

 private:
  std::vector<ExpertRange> ranges_;
  bool keep_named_;
};

template <bool keep_named>
AnyStage build(const Arguments& a, const StageSite& site) {
  std::vector<ExpertRange> ranges = a.experts("experts");
  for (const ExpertRange& r : ranges)
    if ((r.layer < 0 || r.layer == site.layer) && r.last >= site.all_ids())
      throw UsageError("routing text: expert {} of layer {} does not exist; it has {} experts", r.last, site.layer, site.all_ids());
  return std::make_unique<Filter>(std::move(ranges), keep_named);
}

}  // namespace

StageInfo drop_stage() {
  return {.name = "drop", .signature = "experts:list", .meaning = "the named experts (17, 0-7, 3:17, 3:0-7) are no candidates any more",
          .source = "Lu et al. 2024, arXiv 2402.14800", .build = build<false>};
}

StageInfo only_stage() {
  return {.name = "only", .signature = "experts:list", .meaning = "only the named experts stay candidates, in the layers that are named",
          .source = "Lu et al. 2024, arXiv 2402.14800", .build = build<true>};
}

}  // namespace moiety
