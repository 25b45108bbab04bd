// kind = "next_token": the mean of -log p of each token, given those before it. One pass.
#include "learn/objective.h"

namespace moiety {
namespace {

class NextToken : public Objective {
 public:
  StepLosses step(StepBatch& batch, TrainingStep& step) override { return batch.gradients(step); }
};

}  // namespace

ObjectiveInfo next_token_objective() {
  return {"next_token", "the mean of -log p of each token", "", [](const Table&) -> std::unique_ptr<Objective> { return std::make_unique<NextToken>(); }};
}

}  // namespace moiety
