// What a step does with its batch before the optimiser moves the weights: one pass forward and backward, or several.
//
//   [objective]
//   kind = "sam"
//   rho = 0.05
#pragma once
#include <memory>

#include "learn/part.h"

namespace moiety {

struct StepLosses {
  double loss = 0, nll = 0;
  std::vector<std::pair<std::string, double>> losses;  // that parts added
};

// A step's windows.
class StepBatch {
 public:
  virtual ~StepBatch() = default;
  // Forward and backward at the weights that stand in the arena, whose gradients are written anew.
  virtual StepLosses gradients(TrainingStep& step) = 0;
};

class Objective {
 public:
  virtual ~Objective() = default;
  // Leaves in the arena the gradients that the optimiser is to use, and the weights as they were. What is returned, and what `step` records
  // of sites, is of those weights.
  virtual StepLosses step(StepBatch& batch, TrainingStep& step) = 0;
  // Arrays of the parameters' size that it needs.
  virtual size_t arrays() const { return 0; }
};

struct ObjectiveInfo {
  std::string_view name, meaning, source;
  std::unique_ptr<Objective> (*build)(const Table& table);
};
// All of them: learn/registry.cc. The first is what holds where a description names none.
std::span<const ObjectiveInfo> objectives();

}  // namespace moiety
