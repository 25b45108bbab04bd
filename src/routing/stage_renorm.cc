// renorm(eps, min, power): weights are divided by their sum (plus eps, at least min), so that they sum to one.
//
// With a power p by the p-norm instead: (sum of |w|^p)^(1/p).
//
// Where the sum is not above zero the row stays as it is: an empty row gives zero, never NaN. Writes weigh.
#include <algorithm>
#include <cmath>

#include "routing/registry.h"

namespace moiety {
namespace {

class Renorm : public RowStage {
 public:
  Renorm(float eps, float min, float power) : eps_(eps), min_(min), power_(power) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    const float sum = std::max(norm(candidates) + eps_, min_);
    if (!(sum > 0)) return;
    for (Candidate& c : candidates) c.weigh /= sum;
  }

  // y_j = w_j / S with S = N + eps: d w_j = (g_j - dN/dw_j * sum of g y) / S. Where `min` holds, S is a constant.
  void backward(const RoutingInput&, const StageGradient& g) const override {
    const float length = norm(g.in), sum = std::max(length + eps_, min_);
    if (!(sum > 0)) return pass_by_id(g);
    float along = 0;
    if (!(length + eps_ < min_))
      for (const Candidate& c : g.out) along += g.d_out[c.expert] * c.weigh;
    for (const Candidate& c : g.in) g.d_in[c.expert] = (g.d_out[c.expert] - along * norm_slope(c.weigh, length)) / sum;
  }

 private:
  float norm(std::span<const Candidate> candidates) const {
    float sum = 0;
    for (const Candidate& c : candidates) sum += power_ == 1 ? c.weigh : std::pow(std::abs(c.weigh), power_);
    return power_ == 1 ? sum : std::pow(sum, 1 / power_);
  }
  // How the norm grows with one of its weights.
  float norm_slope(float weight, float length) const {
    if (power_ == 1) return 1;
    return weight == 0 ? 0 : std::copysign(std::pow(std::abs(weight) / length, power_ - 1), weight);
  }

  float eps_, min_, power_;
};

}  // namespace

StageInfo renorm_stage() {
  return {.name = "renorm", .signature = "eps:number=0, min:number=0, power:number=1",
          .meaning = "weights are divided by their sum plus eps, at least min; with a power by that norm",
          .source = "Mixtral, arXiv 2401.04088",
          .build = [](const Arguments& a, const StageSite&) -> AnyStage { 
            return std::make_unique<Renorm>(static_cast<float>(a.number("eps")), static_cast<float>(a.number("min")), static_cast<float>(a.number("power")));
          }};
}

}  // namespace moiety
