// JSON that strangers wrote: what is wrong with it becomes an Error that names its file.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace moiety {

// Refuses texts that nest deeper than 64, which recursion over the result (copies, messages) could not bear.
nlohmann::json parse_json(std::string_view text, const std::string& origin);

// What an exception of the parser says, without its number: the place and the reason.
std::string json_reason(std::string_view what);

}  // namespace moiety
