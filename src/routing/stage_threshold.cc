// threshold(x): candidates whose score is at least x; perhaps none. Reads choose.
#include "routing/registry.h"

namespace moiety {
namespace {

class Threshold : public RowStage {
 public:
  explicit Threshold(float least) : least_(least) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    std::erase_if(candidates, [&](const Candidate& c) { return !(c.choose >= least_); });
  }

 private:
  float least_;
};

}  // namespace

StageInfo threshold_stage() {
  return {.name = "threshold", .signature = "x:number", .meaning = "candidates whose score is at least x; a token may be left without experts",
          .source = "Guo et al. 2024 (DynMoE), arXiv 2405.14297", .selects = true,
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { return std::make_unique<Threshold>(static_cast<float>(a.number("x"))); }};
}

}  // namespace moiety
