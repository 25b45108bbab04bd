// entropy(b): b * mean over rows of the entropy of the router's probabilities: keeps a router sure, where a sure one chooses fewer experts (top_p).
//
// Huang et al. 2024, "Harder Tasks Need More Experts", arXiv 2403.07652, eq. 7.
#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mean.h>

#include "learn/balance.h"

namespace moiety {

BalanceInfo entropy_balance() {
  return {"entropy", "b:number", "keeps the router's probabilities sharp", "Huang et al. 2024, Harder Tasks Need More Experts, eq. 7", [](const Arguments& arguments) {
            const double b = arguments.number("b");
            return Balance{"entropy",
                           [b](const SiteRecord& site) {
                             const at::Tensor log = at::log_softmax(site.logits, -1);
                             return (log * log.exp()).sum(-1).mean() * -b;
                           },
                           nullptr};
          }};
}

}  // namespace moiety
