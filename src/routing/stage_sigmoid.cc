// sigmoid: every score on its own becomes 1 / (1 + exp(-score)).
//
// DeepSeek-V3 (arXiv 2412.19437, eq. 15) before the choice; Llama 4 after it. Writes choose and weigh.
#include <cmath>

#include "routing/registry.h"

namespace moiety {
namespace {

class Sigmoid : public RowStage {
 public:
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (Candidate& c : candidates) c.choose = c.weigh = 1 / (1 + std::exp(-c.weigh));
  }
  void backward(const RoutingInput&, const StageGradient& g) const override {
    for (const Candidate& c : g.out) g.d_in[c.expert] = g.d_out[c.expert] * c.weigh * (1 - c.weigh);
  }
};

}  // namespace

StageInfo sigmoid_stage() {
  return {.name = "sigmoid", .signature = "", .meaning = "each score on its own becomes 1 / (1 + exp(-score))",
          .source = "DeepSeek-V3, arXiv 2412.19437, eq. 15",
          .build = [](const Arguments&, const StageSite&) -> AnyStage { return std::make_unique<Sigmoid>(); }};
}

}  // namespace moiety
