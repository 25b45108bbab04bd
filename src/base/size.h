// Sizes as people write them: bytes, 512M, 2G, 1.5GiB; powers of 1024.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace moiety {

uint64_t parse_size(std::string_view text);  // UsageError if it is none
std::string show_size(uint64_t bytes);       // "1.5 GiB"

}  // namespace moiety
