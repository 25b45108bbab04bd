// noise(std): normal noise of this deviation on the scores, while training only.
//
// Shazeer et al. 2017, arXiv 1701.06538, eq. 4, with one deviation for all experts. Writes choose and weigh.
#include "routing/registry.h"

namespace moiety {
namespace {

class Noise : public RowStage {
 public:
  explicit Noise(float deviation) : deviation_(deviation) {}
  uint32_t needs() const override { return needs::sequence; }
  Mark mark() const override { return Mark::training; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    const RowDraws draws(in, 0);
    for (Candidate& c : candidates) {
      const float noise = deviation_ * draws.normal(c.expert);
      c.choose += noise, c.weigh += noise;
    }
  }

 private:
  float deviation_;
};

}  // namespace

StageInfo noise_stage() {
  return {.name = "noise", .signature = "std:number", .meaning = "normal noise on the scores while training",
          .source = "Shazeer et al. 2017, arXiv 1701.06538, eq. 4", .mark = Mark::training,
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Noise>(static_cast<float>(a.number("std"))); }};
}

}  // namespace moiety
