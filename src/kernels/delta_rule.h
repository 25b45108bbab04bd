// The gated delta rule, whose state is a matrix of keys by values (Yang et al. 2024, arXiv 2412.06464), with a decay for each key (Kimi
// Delta Attention, arXiv 2510.26692) or the same for all.
#pragma once
#include <optional>
#include <span>

namespace moiety {

// One token of one head:   S = diag(decay) S;   e = beta (value - S^T key);   S += key e^T;   out = S^T query
//   state [keys, values] S; decay, key, query [keys]; value, out [values], which may be the same
void delta_step(std::span<float> state, std::span<const float> decay, std::span<const float> key, std::span<const float> query,
                std::span<const float> value, float beta, std::span<float> out);

// decay = exp(rate softplus(x)), or, with a bound of the logarithm, exp(bound sigmoid(-rate x)).   rate < 0
void delta_decays(std::span<const float> x, float rate, std::optional<float> bound, std::span<float> decay);

}  // namespace moiety
