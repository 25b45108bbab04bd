// Token ids as users write them.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moiety {

// "1,2,3", on a command line.
std::vector<int32_t> parse_ids(const std::string& text);
// A JSON list of id lists, [[1,2,3],[4,5]]; `origin` names the file in messages.
std::vector<std::vector<int32_t>> parse_id_lists(std::string_view text, const std::string& origin);

}  // namespace moiety
