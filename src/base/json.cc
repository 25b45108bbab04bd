#include "base/json.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace moiety {
namespace {

constexpr int deepest = 64;

}  // namespace

// "[json.exception.parse_error.101] parse error at line 1, column 5: …"
std::string json_reason(std::string_view what) {
  if (const size_t end = what.find("] "); what.starts_with('[') && end != what.npos) what.remove_prefix(end + 2);
  return std::string(what.substr(0, 300));
}

nlohmann::json parse_json(std::string_view text, const std::string& origin) {
  try {
    return nlohmann::json::parse(text, [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
      if (depth > deepest) throw Error("{}: nests deeper than {}", origin, deepest);
      return true;
    });
  } catch (const nlohmann::json::exception& e) {
    throw Error("{}: is not JSON: {}", origin, json_reason(e.what()));
  }
}

}  // namespace moiety
