// The steps of a run: batches from the corpus, gradients by the objective, the optimiser's update.
#pragma once
#include "learn/corpus.h"
#include "learn/model.h"
#include "learn/objective.h"
#include "learn/schedule.h"

namespace moiety {

// The numbers of the loop itself.
struct Plan {
  uint64_t seed, steps, batch, sequences_at_once, evaluate_every, checkpoint_every, keep;
  double clip, beta1, beta2, epsilon, ema;
  Precision precision;  // of the large products (learn/pass.h)
  Schedule rate = 0, decay = 0;

  static Plan read(const Table& root);
};

// The one that a description's table [objective] names.
std::unique_ptr<Objective> objective_of(const Table& root);

// One step of the optimiser.
struct StepResult : StepLosses {
  double norm = 0;  // of the gradients
};

class Loop {
 public:
  Loop(const Plan& plan, Objective& objective, LanguageModel& model, Arena& arena, Corpus& corpus, Workers& workers);
  ~Loop();

  // Moves the weights unless the loss or a gradient is no number. `sites`: what they did.
  StepResult step(uint64_t number, std::vector<SiteRecord>& sites);

  Pass& pass() { return pass_; }

 private:
  class Windows;
  const Plan& plan_;
  Objective& objective_;
  LanguageModel& model_;
  Arena& arena_;
  std::unique_ptr<Windows> windows_;
  Pass pass_;
};

}  // namespace moiety
