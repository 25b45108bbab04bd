#include "text/id_lists.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"

namespace moiety {

std::vector<int32_t> parse_ids(const std::string& text) {
  std::vector<int32_t> out;
  for (size_t at = 0; at < text.size();) {
    int32_t id;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), id);
    at = static_cast<size_t>(end - text.data());
    if (error != std::errc() || (at < text.size() && text[at] != ',')) throw UsageError("'{}' is not a list of ids like 1,2,3", text);
    out.push_back(id);
    at++;
  }
  if (out.empty()) throw UsageError("an empty list of ids; write them like 1,2,3");
  return out;
}

std::vector<std::vector<int32_t>> parse_id_lists(std::string_view text, const std::string& origin) {
  const nlohmann::json file = parse_json(text, origin);
  if (!file.is_array()) throw Error("{}: is not a JSON list of id lists like [[1,2,3],[4,5]]", origin);
  if (file.empty()) throw Error("{}: holds no list of ids", origin);
  std::vector<std::vector<int32_t>> out;
  for (const nlohmann::json& list : file) {
    if (!list.is_array()) throw Error("{}: entry {} is not a list of ids like [1,2,3]", origin, out.size());
    if (list.empty()) throw Error("{}: holds an empty list of ids", origin);
    std::vector<int32_t>& ids = out.emplace_back();
    for (const nlohmann::json& id : list) {
      // As unsigned first: what does not fit into the signed type would change its sign.
      const bool fits = id.is_number_unsigned() ? id.get<uint64_t>() <= INT32_MAX : id.is_number_integer() && id.get<int64_t>() >= INT32_MIN;
      if (!fits) throw Error("{}: {} in list {} is not a token id", origin, id.dump().substr(0, 40), out.size() - 1);
      ids.push_back(id.get<int32_t>());
    }
  }
  return out;
}

}  // namespace moiety
