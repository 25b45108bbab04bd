// temperature(t): scores are divided by t. Above 1 the router is less sure of itself, below 1 more. Writes choose and weigh.
#include "routing/registry.h"

namespace moiety {
namespace {

class Temperature : public RowStage {
 public:
  explicit Temperature(float t) : t_(t) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (Candidate& c : candidates) c.choose /= t_, c.weigh /= t_;
  }
  void backward(const RoutingInput&, const StageGradient& g) const override {
    for (const Candidate& c : g.in) g.d_in[c.expert] = g.d_out[c.expert] / t_;
  }

 private:
  float t_;
};

}  // namespace

StageInfo temperature_stage() {
  return {.name = "temperature", .signature = "t:number", .meaning = "scores are divided by t (before softmax: above 1 is less sure)",
          .source = "Hinton et al. 2015, arXiv 1503.02531",
          .build = [](const Arguments& a, const StageSite&) -> AnyStage {
            if (!(static_cast<float>(a.number("t")) > 0)) throw UsageError("routing text: temperature({}): t must be above 0", a.number("t"));
            return std::make_unique<Temperature>(static_cast<float>(a.number("t")));
          }};
}

}  // namespace moiety
