// GPT-2's visible alphabet for bytes (Radford et al. 2019): printable ones stand for themselves, the others for U+0100 and up.
#include <array>

#include "text/tokenizer.h"
#include "text/utf8.h"

namespace moiety {

std::optional<std::string> from_byte_alphabet(std::string_view visible) {
  static const auto table = [] {
    std::array<int, 512> t;
    t.fill(-1);
    int next = 256;
    for (int b = 0; b < 256; b++) {
      const bool plain = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      t[static_cast<size_t>(plain ? b : next++)] = b;
    }
    return t;
  }();
  std::string out;
  for (size_t i = 0; i < visible.size();) {
    const std::string_view rest = visible.substr(i);
    const uint32_t c = utf8_code_point(rest);
    if (utf8_length(rest) == 0 || c >= table.size() || table[c] < 0) return {};
    out += static_cast<char>(table[c]);
    i += utf8_length(rest);
  }
  return out;
}

}  // namespace moiety
