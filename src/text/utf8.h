// UTF-8, one code point at a time; bytes that are none count as one-byte code points of their own.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace moiety {

// Bytes of the well-formed code point at the beginning of a non-empty text; 0 if there is none.
inline size_t utf8_length(std::string_view s) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  const size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || s.size() < n) return 0;
  for (size_t i = 1; i < n; i++)
    if ((at(i) & 0xc0) != 0x80) return 0;
  if ((c == 0xe0 && at(1) < 0xa0) || (c == 0xed && at(1) > 0x9f) || (c == 0xf0 && at(1) < 0x90) || (c == 0xf4 && at(1) > 0x8f)) return 0;
  return n;
}

// Bytes that a single U+FFFD stands for where no code point begins (the Unicode Standard, section 3.9: the maximal subpart): as far as they
// could be the beginning of one, at least 1. `cut`: the text ends there, so that more bytes might complete it.
inline size_t utf8_damage(std::string_view s, bool& cut) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  const unsigned char c = at(0);
  cut = false;
  if (c < 0xc2 || c > 0xf4) return 1;
  const size_t wanted = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  const unsigned char lowest = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80, highest = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  size_t n = 1;
  while (n < wanted && n < s.size() && at(n) >= (n == 1 ? lowest : 0x80) && at(n) <= (n == 1 ? highest : 0xbf)) n++;
  cut = n == s.size();
  return n;
}

// Bytes to step over, at least 1.
inline size_t utf8_step(std::string_view s) {
  const size_t n = utf8_length(s);
  return n ? n : 1;
}

inline uint32_t utf8_code_point(std::string_view s) {
  const size_t n = utf8_length(s);
  const auto at = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(s[i])); };
  if (n <= 1) return at(0);
  uint32_t out = at(0) & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) out = out << 6 | (at(i) & 0x3f);
  return out;
}

inline void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

}  // namespace moiety
