#include "learn/evaluate.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <numbers>

#include "base/interrupt.h"

namespace moiety {
namespace {

// Counts a pass's choices for the rows that are predicted.
void count_experts(const TrainingStep& step, int64_t length, const at::Tensor& targets, const at::Tensor& nll, DomainResult& out) {
  const int64_t rows = targets.size(0);
  out.load.resize(step.sites.size()), out.sites.resize(step.sites.size());
  std::vector<float> experts(static_cast<size_t>(rows));
  for (size_t s = 0; s < step.sites.size(); s++) {
    const SiteRecord& site = step.sites[s];
    const RoutedRows& routed = site.routed;
    std::vector<std::vector<int64_t>>& windows = out.sites[s].windows;
    out.sites[s].name = site.name;
    out.load[s].resize(site.experts);
    for (int64_t r = 0; r < rows; r++) {
      if (r % length == 0) windows.emplace_back(site.experts);
      if (targets.data_ptr<int32_t>()[r] < 0) continue;
      for (int64_t i = routed.first[static_cast<size_t>(r)]; i < routed.first[static_cast<size_t>(r) + 1]; i++) {
        const size_t expert = static_cast<size_t>(routed.expert[static_cast<size_t>(i)]);
        windows.back()[expert]++, out.load[s][expert]++, experts[static_cast<size_t>(r)]++;
      }
    }
  }
  for (int64_t r = 0; r < rows; r++) {
    if (targets.data_ptr<int32_t>()[r] < 0) continue;
    out.token_nll.push_back(nll.data_ptr<float>()[r]);
    out.token_experts.push_back(experts[static_cast<size_t>(r)]);
  }
}

DomainResult evaluate_domain(LanguageModel& model, const Corpus::Domain& domain, size_t windows_at_once, Pass& pass) {
  DomainResult out;
  out.domain = domain.name;
  const int64_t length = model.context();
  double nll = 0;
  for (size_t first = 0; first < domain.windows.size(); first += windows_at_once) {
    throw_if_interrupted();
    const int64_t count = static_cast<int64_t>(std::min(windows_at_once, domain.windows.size() - first)), rows = count * length;
    at::Tensor ids = at::empty({rows}, at::kInt), targets = at::empty({rows}, at::kInt);
    for (int64_t i = 0; i < count; i++)
      domain.windows.read(first + static_cast<size_t>(i), {ids.data_ptr<int32_t>() + i * length, static_cast<size_t>(length)},
                          {targets.data_ptr<int32_t>() + i * length, static_cast<size_t>(length)});
    TrainingStep step{pass};
    step.training = false;
    const HeadResult result = model.forward({rows, length, ids, first}, targets, step);
    for (int64_t r = 0; r < rows; r++) {
      nll += result.nll.data_ptr<float>()[r];
      out.tokens += targets.data_ptr<int32_t>()[r] >= 0;
    }
    count_experts(step, length, targets, result.nll, out);
  }
  out.bytes = domain.windows.bytes();
  out.nll_per_token = nll / static_cast<double>(out.tokens);
  out.bits_per_byte = nll / std::numbers::ln2 / static_cast<double>(out.bytes);
  return out;
}

}  // namespace

std::vector<DomainResult> evaluate(LanguageModel& model, const std::vector<Corpus::Domain>& domains, size_t windows_at_once, Pass& pass) {
  const at::NoGradGuard no_graph;
  std::vector<DomainResult> out;
  for (const Corpus::Domain& domain : domains) out.push_back(evaluate_domain(model, domain, windows_at_once, pass));
  return out;
}

}  // namespace moiety
