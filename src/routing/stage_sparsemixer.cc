// sparsemixer(k, eps): k times the candidate of largest logit s*, weighted by the softmax over those near it, then taken away.
//
// Near means (s* - s) / max(|s|, s*) <= 2 eps. The weights are not made to sum to one. Inference form of Liu et al. 2024 ("GRIN"),
// arXiv 2409.12136; Phi-3.5-MoE chooses two. Reads weigh (logits), writes choose and weigh.
#include <algorithm>
#include <cmath>

#include "routing/registry.h"

namespace moiety {
namespace {

class SparseMixer : public RowStage {
 public:
  SparseMixer(uint32_t k, float eps) : k_(k), eps_(eps) {}

  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    const size_t k = std::min<size_t>(k_, candidates.size());
    for (size_t done = 0; done < k; done++) {  // the chosen stand in front
      size_t best = done;
      for (size_t i = done + 1; i < candidates.size(); i++)
        if (candidates[i].weigh > candidates[best].weigh) best = i;
      const float top = candidates[best].weigh;
      float sum = 0;
      for (const Candidate& c : std::span(candidates).subspan(done))
        if (near(c.weigh, top)) sum += std::exp(c.weigh - top);
      const float weight = 1 / sum;
      candidates[best].choose = candidates[best].weigh = weight;
      std::rotate(candidates.begin() + static_cast<ptrdiff_t>(done), candidates.begin() + static_cast<ptrdiff_t>(best),
                  candidates.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
    candidates.resize(k);
  }

  // A round's weight is y = 1 / sum of exp(s - s*) over the near that no earlier round took: d s_j += g y ([j is best] - softmax_j).
  // What is near is taken as fixed. GRIN's estimator for training is another function than the gradient of this one.
  void backward(const RoutingInput&, const StageGradient& g) const override {
    for (size_t round = 0; round < g.out.size(); round++) {  // `out` is in the order of the rounds
      const Candidate& best = g.out[round];
      const auto taken = g.out.first(round);
      const float top = std::ranges::find(g.in, best.expert, &Candidate::expert)->weigh, slope = g.d_out[best.expert] * best.weigh;
      g.d_in[best.expert] += slope;
      for (const Candidate& c : g.in)
        if (near(c.weigh, top) && std::ranges::find(taken, c.expert, &Candidate::expert) == taken.end())
          g.d_in[c.expert] -= slope * best.weigh * std::exp(c.weigh - top);
    }
  }

 private:
  bool near(float logit, float top) const { return !((top - logit) / std::max(std::abs(logit), top) > 2 * eps_); }

  uint32_t k_;
  float eps_;
};

}  // namespace

StageInfo sparsemixer_stage() {
  return {.name = "sparsemixer", .signature = "k:count, eps:number",
          .meaning = "k times the best candidate, weighted by the softmax over those within 2 eps of it, then taken away",
          .source = "Liu et al. 2024, arXiv 2409.12136", .selects = true,
          .build = [](const Arguments& a, const StageSite&) -> AnyStage {
            return std::make_unique<SparseMixer>(a.count("k"), static_cast<float>(a.number("eps")));
          }};
}

}  // namespace moiety
