// kind = "sam": the same loss where it is worst near the weights, so that flat minima are found. Two passes: to the neighbour w + rho g / |g|, and
// the gradient there. Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization", arXiv 2010.01412, algorithm 1.
#include <cmath>

#include "learn/objective.h"
#include "learn/optimiser.h"

namespace moiety {
namespace {

class Sam : public Objective {
 public:
  explicit Sam(double rho) : rho_(rho) {}

  StepLosses step(StepBatch& batch, TrainingStep& step) override {
    Arena& arena = *step.pass.arena;
    const StepLosses out = batch.gradients(step);
    const double norm = gradient_norm(arena, step.pass.workers);
    if (!std::isfinite(norm) || norm == 0) return out;
    weights_.assign(arena.values(), arena.values() + arena.moving());  // adding and taking away again would not give the same bits
    add_gradients(arena, static_cast<float>(rho_ / norm), step.pass.workers);
    TrainingStep neighbour{step.pass, step.number};
    batch.gradients(neighbour);
    std::ranges::copy(weights_, arena.values());
    return out;
  }
  size_t arrays() const override { return 1; }

 private:
  double rho_;
  Floats weights_;
};

}  // namespace

ObjectiveInfo sam_objective() {
  return {"sam", "the same at the worst neighbour of the weights at a distance of rho: two passes a step", "Foret et al. 2021, algorithm 1",
          [](const Table& t) -> std::unique_ptr<Objective> {
            const double rho = t.number("rho", 0.05);
            if (rho <= 0) t.wrong("rho", "it must be above 0");
            return std::make_unique<Sam>(rho);
          }};
}

}  // namespace moiety
