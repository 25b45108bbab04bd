// sequence_aux(a, score): switch_aux over each sequence by itself, with scores that are normalised by their sum; the mean over the sequences.
//
// DeepSeek-V2, arXiv 2405.04434, eqs. 23 to 25 (score softmax); DeepSeek-V3, arXiv 2412.19437, eqs. 17 to 20 (score sigmoid).
#include <ATen/TensorOperators.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "learn/balance.h"

namespace moiety {
namespace {

// Experts' shares of the choices in each sequence.   [sequences, experts]
at::Tensor shares(const SiteRecord& site, int64_t sequences) {
  const int64_t experts = static_cast<int64_t>(site.experts);
  at::Tensor out = at::zeros({sequences, experts}, at::kFloat);
  float* share = out.data_ptr<float>();
  for (int64_t s = 0; s < sequences; s++) {
    const int64_t begin = site.routed.first[static_cast<size_t>(s * site.length)], end = site.routed.first[static_cast<size_t>((s + 1) * site.length)];
    for (int64_t i = begin; i < end; i++) share[s * experts + site.routed.expert[static_cast<size_t>(i)]] += 1 / static_cast<float>(end - begin);
  }
  return out;
}

}  // namespace

BalanceInfo sequence_aux_balance() {
  return {"sequence_aux", "a:number, score:softmax|sigmoid=softmax", "switch_aux within each sequence", "DeepSeek-V2, arXiv 2405.04434, eqs. 23 to 25", [](const Arguments& arguments) {
            const double a = arguments.number("a");
            const bool sigmoid = arguments.word("score") == "sigmoid";
            return Balance{"sequence_aux",
                           [a, sigmoid](const SiteRecord& site) {
                             const int64_t sequences = site.logits.size(0) / site.length, experts = static_cast<int64_t>(site.experts);
                             at::Tensor p = sigmoid ? at::sigmoid(site.logits) : at::softmax(site.logits, -1);
                             if (sigmoid) p = p / p.sum(-1, true);
                             const at::Tensor mean = p.view({sequences, site.length, experts}).mean(1);
                             return (mean * shares(site, sequences).to(mean.options())).sum() * (a * static_cast<double>(experts) / static_cast<double>(sequences));
                           },
                           nullptr};
          }};
}

}  // namespace moiety
