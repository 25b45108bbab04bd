// RUN/summary.json: what a finished run comes to, for tables of several runs.
//
//   {"steps", "tokens", "seconds", "parameters": {"total", "active"}, "tokens_per_s": if the process that ended it made a step,
//    "bits_per_byte": {domain: ..}, "mean_bits_per_byte": the domains' mean,
//    "experts": {"per_token": a site's mean choices, "violation": of the held-out load (MaxVio), the sites' mean, "training_violation": of a step's, the
//                last tenth's mean, "dropped": share of the training's choices, "information": bits, "information_shuffled": bits, "loss_correlation"},
//    "sites": [{"name", "per_token", "violation", "information", "information_shuffled", "load"}]}
//
// "experts" and "sites" where the model has any. "loss_correlation": Spearman's, of the experts that a token gets in all and its loss.
#pragma once
#include <nlohmann/json.hpp>

#include "learn/run.h"

namespace moiety {

// With what metrics.jsonl of the run's directory says of the steps. `seed`: of shuffles.
nlohmann::ordered_json summary(const RunResult& result, uint64_t seed);

}  // namespace moiety
