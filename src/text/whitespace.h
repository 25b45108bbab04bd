// White space as Python's str has it: what strip() takes off and split() splits at.
#pragma once
#include <cstdint>
#include <string_view>

#include "text/utf8.h"

namespace moiety {

inline bool is_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

// A byte that begins no code point is no space, whatever its value.
inline bool begins_with_space(std::string_view s) { return !s.empty() && utf8_length(s) && is_space(utf8_code_point(s)); }

inline std::string_view strip_left(std::string_view s) {
  while (begins_with_space(s)) s.remove_prefix(utf8_step(s));
  return s;
}

inline std::string_view strip_right(std::string_view s) {
  while (!s.empty()) {
    size_t last = s.size() - 1;
    while (last > 0 && s.size() - last < 4 && (static_cast<unsigned char>(s[last]) & 0xc0) == 0x80) last--;
    if (!begins_with_space(s.substr(last)) || utf8_length(s.substr(last)) != s.size() - last) break;
    s.remove_suffix(s.size() - last);
  }
  return s;
}

}  // namespace moiety
