// boost(by, experts): adds a number to the scores of the named experts; below zero it holds them back. Writes choose and weigh.
#include <algorithm>

#include "routing/registry.h"

namespace moiety {
namespace {

class Boost : public RowStage {
 public:
  Boost(float by, std::vector<ExpertRange> ranges) : by_(by), ranges_(std::move(ranges)) {}
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (Candidate& c : candidates)
      if (std::ranges::any_of(ranges_, [&](const ExpertRange& r) { return r.holds(in.layer, c.expert); })) c.choose += by_, c.weigh += by_;
  }

 private:
  float by_;
  std::vector<ExpertRange> ranges_;
};

}  // namespace

StageInfo boost_stage() {
  return {.name = "boost", .signature = "experts:list, by:number",
          .meaning = "adds a number to the scores of the named experts: boost(3:17, by=2)", .source = "Wang et al. 2025 (RICE), arXiv 2505.14681",
          .build = [](const Arguments& a, const StageSite&) -> AnyStage {
            return std::make_unique<Boost>(static_cast<float>(a.number("by")), a.experts("experts"));
          }};
}

}  // namespace moiety
