#include "text/splitter.h"

#include <algorithm>

#include "text/unicode.h"
#include "text/utf8.h"

namespace moiety {
namespace {

// A position in a text, and what stands there.
struct Cursor {
  std::string_view text;
  size_t at = 0;

  bool ended() const { return at >= text.size(); }
  char byte(size_t ahead = 0) const { return at + ahead < text.size() ? text[at + ahead] : '\0'; }
  CharClass what() const {
    const auto c = static_cast<unsigned char>(text[at]);
    return class_of(c < 0x80 ? c : utf8_code_point(text.substr(at)));
  }
  size_t width() const {
    const auto c = static_cast<unsigned char>(text[at]);
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  }
  void skip(CharClass wanted, size_t most = SIZE_MAX) {
    for (; most > 0 && !ended() && what() == wanted; most--) at += width();
  }
  void skip_breaks() {
    while (byte() == '\n' || byte() == '\r') at++;
  }
};

// Bytes of 's, 't, 're, 've, 'm, 'll, 'd at an apostrophe; 0 if none is there.
size_t contraction(const Cursor& c, bool any_case, bool long_s) {
  auto letter = [&](size_t i) { return any_case && c.byte(i) >= 'A' && c.byte(i) <= 'Z' ? static_cast<char>(c.byte(i) + 32) : c.byte(i); };
  const char a = letter(1), b = letter(2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  if (long_s && c.byte(1) == '\xc5' && c.byte(2) == '\xbf') return 3;  // U+017F is an s in another case
  return 0;
}

// \s+(?!\S)|\s+ : a run of spaces, without its last where text follows.
void spaces(Cursor& c) {
  const size_t begin = c.at;
  size_t last = begin;
  while (!c.ended() && c.what() == CharClass::space) last = c.at, c.at += c.width();
  if (!c.ended() && last > begin) c.at = last;
}

// GPT-2: contractions in lower case, a space in front of letters, numbers and others.
void gpt2_match(Cursor& c) {
  if (c.byte() == '\'')
    if (const size_t n = contraction(c, false, false)) {
      c.at += n;
      return;
    }
  Cursor word = c;
  if (c.byte() == ' ') word.at++;
  if (word.ended()) return spaces(c);
  const CharClass kind = word.what();
  if (kind == CharClass::space) return spaces(c);
  word.skip(kind);
  c.at = word.at;
}

void gpt2(std::string_view text, std::vector<Span>& out) {
  for (Cursor c{text}; !c.ended();) {
    const size_t begin = c.at;
    gpt2_match(c);
    out.push_back({begin, c.at});
  }
}

// Llama 3 and Qwen 2: one character that is no letter in front of letters, few digits together, line breaks with what they end.
void line_match(Cursor& c, size_t digits, bool long_s) {
  if (c.byte() == '\'')
    if (const size_t n = contraction(c, true, long_s)) {
      c.at += n;
      return;
    }
  const CharClass kind = c.what();
  if (kind == CharClass::letter) return c.skip(CharClass::letter);
  if (kind == CharClass::number) return c.skip(CharClass::number, digits);
  Cursor next = c;
  next.at += c.width();
  if (!next.ended() && next.what() == CharClass::letter && c.byte() != '\n' && c.byte() != '\r') {
    next.skip(CharClass::letter);
    c.at = next.at;
    return;
  }
  if (kind == CharClass::other || (c.byte() == ' ' && !next.ended() && next.what() == CharClass::other)) {
    next.skip(CharClass::other);
    next.skip_breaks();
    c.at = next.at;
    return;
  }
  // \s*[\r\n]+ : up to the last line break of the run.
  Cursor run = c;
  size_t after_break = 0;
  while (!run.ended() && run.what() == CharClass::space) {
    const bool breaks = run.byte() == '\n' || run.byte() == '\r';
    run.at += run.width();
    if (breaks) after_break = run.at;
  }
  if (after_break) c.at = after_break;
  else spaces(c);
}

template <size_t digits, bool long_s>
void lines(std::string_view text, std::vector<Span>& out) {
  for (Cursor c{text}; !c.ended();) {
    const size_t begin = c.at;
    line_match(c, digits, long_s);
    out.push_back({begin, c.at});
  }
}

// Runs of digits in groups of three from the right. `word_end`: runs with a letter behind them are left alone; `zero_width`: the
// expression matches between digits, so what is left over on the left stays with the text before it.
template <bool (*digit)(uint32_t), bool word_end, bool zero_width>
void threes(std::string_view text, std::vector<Span>& out) {
  size_t begin = 0;  // of what has not been put out
  auto put = [&](size_t end) {
    if (end > begin) out.push_back({begin, end});
    begin = end;
  };
  for (Cursor c{text}; !c.ended();) {
    std::vector<size_t> starts;
    while (!c.ended() && digit(utf8_code_point(text.substr(c.at)))) starts.push_back(c.at), c.at += c.width();
    if (starts.empty()) {
      c.at += c.width();
      continue;
    }
    if (word_end && !c.ended() && (c.what() == CharClass::letter || c.what() == CharClass::number || c.byte() == '_')) continue;
    const size_t over = starts.size() % 3;
    if (!zero_width) put(starts[0]);
    for (size_t k = over; k < starts.size(); k += 3) put(starts[k]);
    if (!zero_width) put(c.at);
  }
  put(text.size());
}

bool is_number(uint32_t c) { return class_of(c) == CharClass::number; }

#define REST "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
#define TAIL "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SPELLED "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define FOLDED "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"

struct Row {
  std::string_view pattern;
  Splitter splitter;
};

constexpr Row kRows[] = {
    {GPT2, gpt2},
    {GPT2 "|\\s+", gpt2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", gpt2},
    {SPELLED REST "{1,3}" TAIL, lines<3, false>},
    {SPELLED REST TAIL, lines<1, false>},
    {FOLDED REST "{1,3}" TAIL, lines<3, true>},
    {FOLDED REST TAIL, lines<1, true>},
    {"\\p{N}{1,3}(?=(?:\\p{N}{3})*(?:\\P{N}|$))", threes<is_number, false, false>},
    {"\\d{1,3}(?=(?:\\d{3})*\\b)", threes<is_decimal_digit, true, false>},
    {"(?=(\\d{3})+(?!\\d))", threes<is_decimal_digit, false, true>},
};

}  // namespace

Splitter splitter_for(std::string_view pattern) {
  const auto found = std::ranges::find(kRows, pattern, &Row::pattern);
  return found == std::end(kRows) ? nullptr : found->splitter;
}

std::vector<std::string_view> splitter_patterns() {
  std::vector<std::string_view> out;
  for (const Row& row : kRows) out.push_back(row.pattern);
  return out;
}

}  // namespace moiety
