// bias: the model's correction bias is added to the scores that decide the choice; the weights stay as they are.
//
// Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing", arXiv 2408.15664. Writes choose only.
#include "routing/registry.h"

namespace moiety {
namespace {

class Bias : public RowStage {
 public:
  explicit Bias(std::span<const float> bias) : bias_(bias) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (Candidate& c : candidates) c.choose += bias_[c.expert];
  }

 private:
  std::span<const float> bias_;  // [experts]
};

}  // namespace

StageInfo bias_stage() {
  return {.name = "bias", .signature = "", .meaning = "the model's correction bias per expert joins the scores for the choice, not the weights",
          .source = "Wang et al. 2024, arXiv 2408.15664",
          .build = [](const Arguments&, const StageSite& site) -> AnyStage {
            const std::span<const float> bias = site.tensors.find ? site.tensors.find("bias") : std::span<const float>();
            if (bias.size() != site.experts)
              throw UsageError("routing stage bias: layer {} of this model has no correction bias; leave the stage out", site.layer);
            return std::make_unique<Bias>(bias);
          }};
}

}  // namespace moiety
