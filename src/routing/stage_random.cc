// random(seed): the choice goes by random numbers; the weights stay the router's. A control: what a router's choice is worth.
//
// The numbers depend on the sequence's seed, the position, the site and the expert alone, so that a row's plan does not depend on its batch.
// Writes choose.
#include "routing/registry.h"

namespace moiety {
namespace {

class Random : public RowStage {
 public:
  explicit Random(uint32_t seed) : seed_(seed) {}
  uint32_t needs() const override { return needs::sequence; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    const RowDraws draws(in, seed_);
    for (Candidate& c : candidates) c.choose = draws.uniform(c.expert);
  }

 private:
  uint32_t seed_;
};

}  // namespace

StageInfo random_stage() {
  return {.name = "random", .signature = "seed:count=1", .meaning = "the choice goes by random numbers, the weights stay the router's: a control",
          .source = "Zuo et al. 2022 (THOR), arXiv 2110.04260",
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Random>(a.count("seed")); }};
}

}  // namespace moiety
