// Who wants to watch a forward pass: traces, calibration, analysis. Every call is optional; a null observer costs nothing, and what is
// computed never depends on one.
#pragma once
#include <span>

#include "kernels/matrix.h"
#include "routing/plan.h"

namespace moiety {

struct Site;
struct Block;
struct StepRow;

class Observer {
 public:
  virtual ~Observer() = default;
  // A site has routed: features [rows, d_model], scores [rows, ids] (router logits; empty if no stage needed them), and the plan.
  virtual void routed(const Site&, std::span<const StepRow>, ConstRows /*features*/, ConstRows /*scores*/, const RoutingPlan&) {}
  // Whether expert_ran is to be called: experts then run one by one, which is slower.
  virtual bool watches_experts() const { return false; }
  // One expert has run on the rows `rows` (indices into the step's): its input, inner units after the activation, and output before
  // weighting. Experts come in any order.
  virtual void expert_ran(const Site&, uint32_t /*expert*/, std::span<const uint32_t> /*rows*/, ConstRows /*input*/, ConstRows /*inner*/,
                          ConstRows /*output*/) {}
  // The residual stream before and after a block, [rows, d_model].
  virtual void block_ran(const Block&, std::span<const StepRow>, ConstRows /*before*/, ConstRows /*after*/) {}
};

}  // namespace moiety
