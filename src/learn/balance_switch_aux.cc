// switch_aux(a, tau): a * experts * sum over experts of (share of choices) * (mean probability), times tau for experts that are no FFN.
//
// Fedus, Zoph, Shazeer 2021, "Switch Transformers", eqs. 4 to 6, with the shares of all k choices as in the mixtures that came after it. tau is that of
// Jin et al. 2024, "MoE++", arXiv 2410.07348, the heterogeneous load balance loss, sum of eta f P with eta = tau for cheap experts: below 1 they are chosen
// the more. There f counts choices by row and Switch's factor is missing: the same but for a constant, experts over k.
#include <ATen/TensorOperators.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/softmax.h>

#include "learn/balance.h"

namespace moiety {

BalanceInfo switch_aux_balance() {
  return {"switch_aux", "a:number, tau:number=1", "load times mean probability, times a", "Fedus et al. 2021, Switch Transformers, eq. 4", [](const Arguments& arguments) {
            const double a = arguments.number("a"), tau = arguments.number("tau");
            return Balance{"switch_aux",
                           [a, tau](const SiteRecord& site) {
                             const at::Tensor mean = at::softmax(site.logits, -1).mean(0);
                             at::Tensor share = at::empty({static_cast<int64_t>(site.experts)}, at::kFloat);
                             const double choices = static_cast<double>(std::max<size_t>(site.routed.expert.size(), 1));
                             for (size_t e = 0; e < site.experts; e++) {
                               const double times = site.computing.empty() || site.computing[e] ? 1 : tau;
                               share.data_ptr<float>()[e] = static_cast<float>(times * static_cast<double>(site.routed.load[e]) / choices);
                             }
                             return at::dot(mean, share.to(mean.options())) * (a * static_cast<double>(site.experts));
                           },
                           nullptr};
          }};
}

}  // namespace moiety
