// scale(s): weights times s. DeepSeek-V2's routed_scaling_factor (arXiv 2405.04434). Writes weigh.
#include "routing/registry.h"

namespace moiety {
namespace {

class Scale : public RowStage {
 public:
  explicit Scale(float s) : s_(s) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (Candidate& c : candidates) c.weigh *= s_;
  }
  void backward(const RoutingInput&, const StageGradient& g) const override {
    for (const Candidate& c : g.in) g.d_in[c.expert] = g.d_out[c.expert] * s_;
  }

 private:
  float s_;
};

}  // namespace

StageInfo scale_stage() {
  return {.name = "scale", .signature = "s:number", .meaning = "weights times s", .source = "DeepSeek-V2, arXiv 2405.04434",
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Scale>(static_cast<float>(a.number("s"))); }};
}

}  // namespace moiety
