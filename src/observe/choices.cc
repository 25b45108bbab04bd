// Reading multiple-choice questions: JSON lines.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "observe/evaluate.h"

namespace moiety {

std::vector<ChoiceQuestion> parse_choices(std::string_view text, const std::string& origin, size_t limit) {
  std::vector<ChoiceQuestion> out;
  for (size_t number = 1, at = 0; at < text.size() && (limit == 0 || out.size() < limit); number++) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string place = fmt::format("{}, line {}", origin, number);
    const nlohmann::json j = parse_json(line, place);
    if (!j.is_object() || !j.contains("query") || !j["query"].is_string() || !j.contains("choices") || !j["choices"].is_array() || j["choices"].empty() ||
        !j.contains("gold") || !j["gold"].is_number_unsigned() || j["gold"].get<size_t>() >= j["choices"].size())
      throw Error("{}: expected {{\"query\": text, \"choices\": [texts], \"gold\": index}}", place);
    ChoiceQuestion q{j["query"].get<std::string>(), {}, j["gold"].get<size_t>()};
    for (const nlohmann::json& c : j["choices"]) {
      if (!c.is_string()) throw Error("{}: a choice is no text", place);
      q.choices.push_back(c.get<std::string>());
    }
    out.push_back(std::move(q));
  }
  if (out.empty()) throw Error("{}: there is no question in it", origin);
  return out;
}

}  // namespace moiety
