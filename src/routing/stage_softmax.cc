// softmax: scores become probabilities over the candidates that are left.
//
// Before a selection this is the router of Shazeer et al. 2017 (arXiv 1701.06538) and of Mixtral; after it, the chosen experts'
// logits become weights that sum to one. Writes choose and weigh.
#include <algorithm>
#include <cmath>

#include "routing/registry.h"

namespace moiety {
namespace {

class Softmax : public RowStage {
 public:
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    if (candidates.empty()) return;
    float top = candidates[0].weigh;
    for (const Candidate& c : candidates) top = std::max(top, c.weigh);
    float sum = 0;
    for (Candidate& c : candidates) sum += c.weigh = std::exp(c.weigh - top);
    for (Candidate& c : candidates) c.choose = c.weigh /= sum;
  }
  void backward(const RoutingInput&, const StageGradient& g) const override {
    float mean = 0;  // of the gradient, under the probabilities
    for (const Candidate& c : g.out) mean += g.d_out[c.expert] * c.weigh;
    for (const Candidate& c : g.out) g.d_in[c.expert] = c.weigh * (g.d_out[c.expert] - mean);
  }
};

}  // namespace

StageInfo softmax_stage() {
  return {.name = "softmax", .signature = "", .meaning = "scores become probabilities over the candidates that are left",
          .source = "Shazeer et al. 2017, arXiv 1701.06538",
          .build = [](const Arguments&, const StageSite&) -> AnyStage { return std::make_unique<Softmax>(); }};
}

}  // namespace moiety
