#include "learn/balance.h"

#include <fmt/ranges.h>

namespace moiety {
namespace {

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin, end - begin + 1);
}

// "name(1, b=2)" with its arguments.
Balance one(const std::string& text, size_t at, std::string_view word, const Table& table) {
  const size_t open = word.find('(');
  const std::string_view name = trimmed(word.substr(0, open));
  std::vector<Argument> given;
  if (open != std::string_view::npos) {
    if (word.back() != ')') table.wrong("balance", fmt::format("'{}' lacks a ')'", word));
    std::string_view inner = word.substr(open + 1, word.size() - open - 2);
    while (!trimmed(inner).empty()) {
      const size_t comma = std::min(inner.find(','), inner.size());
      const std::string_view argument = trimmed(inner.substr(0, comma));
      const size_t equals = argument.find('=');
      if (equals == std::string_view::npos) given.push_back({"", std::string(argument), at});
      else given.push_back({std::string(trimmed(argument.substr(0, equals))), std::string(trimmed(argument.substr(equals + 1))), at});
      inner.remove_prefix(std::min(comma + 1, inner.size()));
    }
  }
  std::vector<std::string_view> known{"none"};
  for (const BalanceInfo& info : balance_kinds()) {
    if (info.name == name) return info.build(Arguments(text, name, at, std::move(given), info.signature));
    known.push_back(info.name);
  }
  table.wrong("balance", fmt::format("there is no '{}'; there are {}", name, fmt::join(known, ", ")));
}

}  // namespace

std::vector<Balance> balances(const std::string& text, const Table& table) {
  std::vector<Balance> out;
  if (trimmed(text) == "none") return out;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('|', at), text.size());
    try {
      out.push_back(one(text, at, trimmed(std::string_view(text).substr(at, end - at)), table));
    } catch (const RoutingTextError& e) {
      table.wrong("balance", e.what());
    }
    at = end + 1;
  }
  return out;
}

}  // namespace moiety
