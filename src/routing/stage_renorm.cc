// renorm(eps): weights are divided by their sum (plus eps), so that they sum to one.
//
// Where the sum is not above zero the row stays as it is: an empty row gives zero, never NaN. Writes weigh.
#include "routing/registry.h"

namespace moiety {
namespace {

class Renorm : public RowStage {
 public:
  explicit Renorm(float eps) : eps_(eps) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    float sum = 0;
    for (const Candidate& c : candidates) sum += c.weigh;
    sum += eps_;
    if (!(sum > 0)) return;
    for (Candidate& c : candidates) c.weigh /= sum;
  }

 private:
  float eps_;
};

}  // namespace

StageInfo renorm_stage() {
  return {.name = "renorm", .signature = "eps:number=0", .meaning = "weights are divided by their sum plus eps", .source = "Mixtral, arXiv 2401.04088",
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Renorm>(static_cast<float>(a.number("eps"))); }};
}

}  // namespace moiety
