// z_loss(a): a * mean over rows of (log sum exp of the router's logits)^2.   Zoph et al. 2022, "ST-MoE", eq. 5.
#include <ATen/TensorOperators.h>
#include <ATen/ops/logsumexp.h>

#include "learn/balance.h"

namespace moiety {

BalanceInfo z_loss_balance() {
  return {"z_loss", "a:number", "keeps the router's logits small", "Zoph et al. 2022, ST-MoE, eq. 5", [](const Arguments& arguments) {
            const double a = arguments.number("a");
            return Balance{"z_loss", [a](const SiteRecord& site) { return at::logsumexp(site.logits, -1).pow(2).mean() * a; }, nullptr};
          }};
}

}  // namespace moiety
