#include "text/pretokenizer.h"

#include <utf8proc.h>

#include "text/utf8.h"

namespace moiety {
namespace {

using Step = PreTokenizerStep;
using Pieces = std::vector<std::string>;

struct Span {
  size_t begin, end;
  bool match;
};

// Cuts `text` at spans that cover it.
void emit(const std::string& text, std::vector<Span> spans, const Step& step, Pieces& out) {
  using B = Step::Behavior;
  if (step.invert)
    for (Span& s : spans) s.match = !s.match;
  std::vector<Span> joined;
  for (size_t i = 0; i < spans.size(); i++) {
    Span s = spans[i];
    if (s.begin == s.end) continue;
    const bool touches = !joined.empty() && joined.back().end == s.begin;
    if (step.behavior == B::removed && s.match) continue;
    if (step.behavior == B::merged_with_previous && s.match && touches) joined.back().end = s.end;
    else if (step.behavior == B::contiguous && touches && joined.back().match == s.match) joined.back().end = s.end;
    else if (step.behavior == B::merged_with_next && touches && joined.back().match && !s.match) joined.back() = {joined.back().begin, s.end, false};
    else joined.push_back(s);
    if (step.behavior == B::merged_with_previous) joined.back().match = false;
  }
  for (const Span& s : joined) out.push_back(text.substr(s.begin, s.end - s.begin));
}

std::vector<Span> regex_spans(const std::string& text, const Regex& regex) {
  std::vector<Span> spans;
  size_t at = 0, begin, end, from = 0;
  while (from <= text.size() && regex.find(text, from, begin, end)) {
    if (end == begin) {  // an empty match: go on behind the next code point
      if (begin >= text.size()) break;
      from = begin + utf8_step(std::string_view(text).substr(begin));
      if (begin > at) spans.push_back({at, begin, false}), at = begin;
      continue;
    }
    if (begin > at) spans.push_back({at, begin, false});
    spans.push_back({begin, end, true});
    at = from = end;
  }
  if (at < text.size()) spans.push_back({at, text.size(), false});
  return spans;
}

template <class Test>
std::vector<Span> class_spans(const std::string& text, Test test) {
  std::vector<Span> spans;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest(text.data() + i, text.size() - i);
    const size_t n = utf8_step(rest);
    spans.push_back({i, i + n, test(utf8_code_point(rest))});
    i += n;
  }
  // Runs of what does not match are one span; matches stay apart.
  std::vector<Span> out;
  for (const Span& s : spans) {
    if (!s.match && !out.empty() && !out.back().match) out.back().end = s.end;
    else out.push_back(s);
  }
  return out;
}

bool is_number(uint32_t c) {
  const auto k = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}
bool is_space(uint32_t c) {
  const auto k = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (c >= 9 && c <= 13) || c == 0x85 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}
bool is_punctuation(uint32_t c) {
  const auto k = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126) ||
         (k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO);
}

void metaspace(const Step& s, const std::string& text, bool first, Pieces& out) {
  std::string replaced;
  for (char c : text) {
    if (c == ' ') replaced += s.replacement;
    else replaced += c;
  }
  if ((s.prepend_always || (s.prepend_first && first)) && !replaced.starts_with(s.replacement)) replaced = s.replacement + replaced;
  if (!s.cut) return out.push_back(replaced);
  size_t begin = 0;
  for (size_t at = replaced.find(s.replacement, 1); at != std::string::npos; at = replaced.find(s.replacement, at + 1)) {
    if (at > begin) out.push_back(replaced.substr(begin, at - begin));
    begin = at;
  }
  if (begin < replaced.size()) out.push_back(replaced.substr(begin));
}

void apply(const Step& s, const std::string& text, bool first, Pieces& out) {
  using Kind = Step::Kind;
  Step cut = s;
  switch (s.kind) {
    case Kind::split: return emit(text, regex_spans(text, *s.regex), s, out);
    case Kind::digits:
      cut.behavior = s.individual ? Step::Behavior::isolated : Step::Behavior::contiguous;
      return emit(text, class_spans(text, is_number), cut, out);
    case Kind::punctuation: return emit(text, class_spans(text, is_punctuation), s, out);
    case Kind::whitespace_split:
      cut.behavior = Step::Behavior::removed;
      return emit(text, class_spans(text, is_space), cut, out);
    case Kind::whitespace: {
      static const Regex words("\\w+|[^\\w\\s]+");
      cut.invert = true;
      cut.behavior = Step::Behavior::removed;
      return emit(text, regex_spans(text, words), cut, out);
    }
    case Kind::bert: {
      Pieces words;
      cut.behavior = Step::Behavior::removed;
      emit(text, class_spans(text, is_space), cut, words);
      cut.behavior = Step::Behavior::isolated;
      for (const std::string& word : words) emit(word, class_spans(word, is_punctuation), cut, out);
      return;
    }
    case Kind::metaspace: return metaspace(s, text, first, out);
    case Kind::prefix_space: out.push_back(text.starts_with(' ') ? text : " " + text); return;
  }
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t n = utf8_length(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

}  // namespace

std::vector<std::string> pre_tokenize(const std::vector<Step>& steps, std::string text, bool first) {
  // Bytes that are no UTF-8 would end a match anywhere: they are pieces of their own, and the text between is cut as usual.
  if (!valid_utf8(text)) {
    Pieces out;
    for (size_t i = 0; i < text.size();) {
      size_t end = i;
      while (end < text.size() && utf8_length(std::string_view(text).substr(end))) end += utf8_length(std::string_view(text).substr(end));
      if (end > i) {
        Pieces some = pre_tokenize(steps, text.substr(i, end - i), first && i == 0);
        out.insert(out.end(), some.begin(), some.end());
      } else {
        out.push_back(text.substr(end++, 1));
      }
      i = end;
    }
    return out;
  }
  Pieces pieces;
  pieces.push_back(std::move(text));
  for (const Step& step : steps) {
    Pieces next;
    next.reserve(pieces.size());
    for (size_t i = 0; i < pieces.size(); i++) apply(step, pieces[i], first && i == 0, next);
    pieces = std::move(next);
  }
  return pieces;
}

}  // namespace moiety
