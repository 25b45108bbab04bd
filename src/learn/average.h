// A moving average of the weights, [optimiser] ema: evaluated and exported in their place. It lies in the arena, and in checkpoints beside them.
//
//   average += (1 - keep) (weight - average)   after each step, with keep = min(ema, (1 + step) / (10 + step))
// so that a short run is not mostly what it began with, and weights that stay keep their bits.
// Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging"; Kingma and Ba 2015, "Adam", section 7.2.
#pragma once
#include "learn/arena.h"

namespace moiety {

// After the update of `step` (from 0).
void move_average(Arena& arena, double ema, uint64_t step, Workers& workers);

// While it lives, the averages stand where the weights do, if the arena has them; what the graph computes with is up to date.
class AveragedWeights {
 public:
  explicit AveragedWeights(Arena& arena) : arena_(arena) { swap(); }
  ~AveragedWeights() { swap(); }
  AveragedWeights(const AveragedWeights&) = delete;

 private:
  void swap();
  Arena& arena_;
};

}  // namespace moiety
