// How the load of experts is kept even: losses that join the objective, and rules that change a site's bias without gradients.
//
// A text like "switch_aux(0.01) | z_loss(0.001)", read as a routing text is: name, arguments by the signature, several in a row.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "learn/part.h"
#include "routing/arguments.h"

namespace moiety {

struct Balance {
  std::string name;
  std::function<at::Tensor(const SiteRecord&)> loss;  // scalar, in the graph; or null
  std::function<void(std::span<const int64_t> load, std::span<float> bias)> update;  // after a step; or null
};

struct BalanceInfo {
  std::string_view name, signature, meaning, source;
  Balance (*build)(const Arguments& arguments);
};
std::span<const BalanceInfo> balance_kinds();

// "none" is the empty list. Throws UsageError with the place of the table's key "balance".
std::vector<Balance> balances(const std::string& text, const Table& table);

}  // namespace moiety
