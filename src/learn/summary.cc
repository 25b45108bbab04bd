#include "learn/summary.h"

#include <fstream>
#include <map>
#include <numeric>

#include "base/json.h"
#include "learn/measures.h"

namespace moiety {

namespace {

// Of the steps as metrics.jsonl has them, which a run that was interrupted has from its beginning.
struct StepMeasures {
  double violation = 0, dropped = 0;

  StepMeasures(const std::filesystem::path& metrics, uint64_t steps) {
    std::ifstream in(metrics);
    int64_t chosen = 0, left_out = 0;
    size_t sites = 0;
    for (std::string line; std::getline(in, line);) {
      const nlohmann::json step = parse_json(line, metrics.string());
      if (!step.contains("load")) continue;
      left_out += step.value("dropped", int64_t{0});
      for (const auto& [name, numbers] : step["load"].items()) {
        const std::vector<int64_t> load = numbers.get<std::vector<int64_t>>();
        chosen += std::accumulate(load.begin(), load.end(), int64_t{0});
        if (step["step"].get<uint64_t>() + std::max<uint64_t>(steps / 10, 1) <= steps) continue;
        violation += max_violation(load);
        sites++;
      }
    }
    if (sites) violation /= static_cast<double>(sites);
    if (chosen) dropped = static_cast<double>(left_out) / static_cast<double>(chosen);
  }
};

nlohmann::ordered_json summary_of(std::span<const DomainResult> domains, size_t site, uint64_t seed) {
  std::vector<int64_t> load(domains[0].load[site].size());
  double tokens = 0;
  for (const DomainResult& d : domains) {
    for (size_t e = 0; e < load.size(); e++) load[e] += d.load[site][e];
    tokens += static_cast<double>(d.tokens);
  }
  const Specialisation s = specialisation(domains, site, seed);
  return {{"name", domains[0].sites[site].name}, {"per_token", static_cast<double>(std::accumulate(load.begin(), load.end(), int64_t{0})) / tokens},
          {"violation", max_violation(load)},    {"information", s.bits},
          {"information_shuffled", s.shuffled},  {"load", load}};
}

double correlation(std::span<const DomainResult> domains) {
  std::vector<float> experts, nll;
  for (const DomainResult& d : domains) {
    experts.insert(experts.end(), d.token_experts.begin(), d.token_experts.end());
    nll.insert(nll.end(), d.token_nll.begin(), d.token_nll.end());
  }
  return rank_correlation(experts, nll);
}

}  // namespace

nlohmann::ordered_json summary(const RunResult& r, uint64_t seed) {
  nlohmann::ordered_json out = {{"steps", r.steps}, {"tokens", r.tokens}, {"seconds", r.seconds}, {"parameters", {{"total", r.parameters}, {"active", r.active_parameters}}}};
  if (r.tokens_per_s > 0) out["tokens_per_s"] = r.tokens_per_s;
  double mean = 0;
  for (const DomainResult& d : r.held_out) {
    out["bits_per_byte"][d.domain] = d.bits_per_byte;
    mean += d.bits_per_byte / static_cast<double>(r.held_out.size());
  }
  out["mean_bits_per_byte"] = mean;
  if (r.held_out.empty() || r.held_out[0].sites.empty()) return out;
  const size_t sites = r.held_out[0].sites.size();
  nlohmann::ordered_json all = nlohmann::json::array();
  std::map<std::string, double> means;
  for (size_t s = 0; s < sites; s++) {
    all.push_back(summary_of(r.held_out, s, seed));
    for (const char* key : {"per_token", "violation", "information", "information_shuffled"}) means[key] += all.back()[key].get<double>() / static_cast<double>(sites);
  }
  const StepMeasures steps(r.folder / "metrics.jsonl", r.steps);
  out["experts"] = means;
  out["experts"].update({{"training_violation", steps.violation}, {"dropped", steps.dropped}, {"loss_correlation", correlation(r.held_out)}});
  out["sites"] = std::move(all);
  return out;
}

}  // namespace moiety
