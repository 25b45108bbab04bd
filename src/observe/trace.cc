#include "observe/trace.h"

#include <algorithm>

namespace moiety {

void Tracer::routed(const Site& site, std::span<const StepRow>, ConstRows, ConstRows scores, const RoutingPlan& plan) {
  if (sites_.size() <= site.index) sites_.resize(site.index + 1);
  SiteTrace& trace = sites_[site.index];
  trace.layer = static_cast<int32_t>(site.layer);
  trace.attention = site.name.ends_with("attn");
  trace.experts = site.bank->size();
  for (size_t r = 0; r < plan.rows(); r++) trace.rows.emplace_back(plan[r].begin(), plan[r].end());
  if (!scores_) return;
  // Ids beyond the router's rows, and all of them where a short list took its place, have no score.
  for (size_t r = 0; r < plan.rows(); r++) {
    const size_t scored = std::min<size_t>(scores.cols, trace.experts);
    if (scored) trace.scores.insert(trace.scores.end(), scores[r], scores[r] + scored);
    trace.scores.insert(trace.scores.end(), trace.experts - scored, 0.0f);
  }
}

void Tracer::add_text(std::span<const int32_t> ids) {
  for (size_t i = 0; i < ids.size(); i++) {
    tokens_.push_back(ids[i]);
    sequence_.push_back(texts_);
    position_.push_back(static_cast<int32_t>(i));
  }
  texts_++;
}

NpzArrays Tracer::arrays() const {
  const uint64_t tokens = tokens_.size();
  NpzArrays out;
  out.emplace_back("tokens", NpyArray{{tokens}, tokens_});
  for (bool attention : {false, true}) {
    std::vector<const SiteTrace*> sites;
    size_t k = 0, ids = 0;
    for (const SiteTrace& site : sites_)
      if (site.attention == attention && !site.rows.empty()) {
        sites.push_back(&site);
        ids = std::max<size_t>(ids, site.experts);
        for (const auto& row : site.rows) k = std::max(k, row.size());
      }
    if (attention && sites.empty()) break;
    const std::string prefix = attention ? "attn_" : "";
    const uint64_t m = sites.size();
    std::vector<int32_t> layers, counts, experts(tokens * m * k, -1);
    std::vector<float> weights(tokens * m * k, 0.0f), scores;
    for (const SiteTrace* site : sites) layers.push_back(site->layer), counts.push_back(static_cast<int32_t>(site->experts));
    for (uint64_t t = 0; t < tokens; t++)
      for (uint64_t s = 0; s < m; s++) {
        const auto& row = sites[s]->rows[t];
        for (size_t i = 0; i < row.size(); i++) {
          experts[(t * m + s) * k + i] = static_cast<int32_t>(row[i].expert);
          weights[(t * m + s) * k + i] = row[i].weight;
        }
      }
    out.emplace_back(prefix + "layers", NpyArray{{m}, layers});
    out.emplace_back(prefix + "counts", NpyArray{{m}, counts});
    out.emplace_back(prefix + "experts", NpyArray{{tokens, m, k}, experts});
    out.emplace_back(prefix + "weights", NpyArray{{tokens, m, k}, weights});
    if (!scores_) continue;
    scores.assign(tokens * m * ids, 0.0f);
    for (uint64_t t = 0; t < tokens; t++)
      for (uint64_t s = 0; s < m; s++)
        for (uint64_t e = 0; e < sites[s]->experts; e++) scores[(t * m + s) * ids + e] = sites[s]->scores[t * sites[s]->experts + e];
    out.emplace_back(prefix + "scores", NpyArray{{tokens, m, ids}, scores});
  }
  if (texts_ > 1) {
    out.emplace_back("sequence", NpyArray{{tokens}, sequence_});
    out.emplace_back("position", NpyArray{{tokens}, position_});
  }
  return out;
}

}  // namespace moiety
