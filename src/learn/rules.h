// Which parameters move, and how fast: [[rule]] tables of a description. The first rule that matches a parameter, or an expert of a stack, holds for it.
// What a rule can say beside what it is about, such as `rate` here, is in learn/rule_*.cc.
//
//   [[rule]]
//   match = "blk.*.ffn_gate_inp.weight"   # a glob over the parameters' names
//   rate = 0.5                            # times the optimiser's
//   decay = 0
//   freeze = false
//   [[rule]]
//   which = "experts 3:0-7, 5:1"          # instead of match: a group, of experts also some, as routing texts name them (routing/arguments.h)
//   freeze = true
#pragma once
#include "learn/arena.h"
#include "learn/description.h"

namespace moiety {

// Before Arena::finish. A rule that matches nothing is a UsageError.
void apply_rules(const Table& root, Arena& arena);

}  // namespace moiety
