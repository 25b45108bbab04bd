// bias_update(u): after every step, the bias that decides the choice (stage `bias`) goes up by u for experts with less than the mean load and down
// by u for those with more. Wang et al. 2024, "Auxiliary-Loss-Free Load Balancing Strategy for Mixture-of-Experts", algorithm 1.
#include <numeric>

#include "learn/balance.h"

namespace moiety {

BalanceInfo bias_update_balance() {
  return {"bias_update", "u:number", "moves the choice's bias towards even load; without a loss", "Wang et al. 2024, algorithm 1", [](const Arguments& arguments) {
            const float u = static_cast<float>(arguments.number("u"));
            return Balance{"bias_update", nullptr, [u](std::span<const int64_t> load, std::span<float> bias) {
                             const double mean = static_cast<double>(std::accumulate(load.begin(), load.end(), int64_t{0})) / static_cast<double>(load.size());
                             for (size_t e = 0; e < load.size(); e++) {
                               const double missing = mean - static_cast<double>(load[e]);
                               bias[e] += missing > 0 ? u : missing < 0 ? -u : 0;
                             }
                           }};
          }};
}

}  // namespace moiety
