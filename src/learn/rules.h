// Which parameters move, and how fast: [[rule]] tables of a description. The first rule that matches a parameter holds for it.
//
//   [[rule]]
//   match = "blk.*.ffn_gate_inp.weight"   # a glob over the parameters' names
//   rate = 0.5                            # times the optimiser's
//   decay = 0
//   freeze = false
#pragma once
#include "learn/arena.h"
#include "learn/description.h"

namespace moiety {

// Before Arena::finish. A rule that matches nothing is a UsageError.
void apply_rules(const Table& root, Arena& arena);

}  // namespace moiety
