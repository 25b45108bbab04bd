#include "text/pretokenizer.h"

#include "text/unicode.h"
#include "text/utf8.h"

namespace moiety {
namespace {

using Step = PreTokenizerStep;

// A stretch of one piece, and whether it matches the step's rule.
struct Stretch {
  size_t begin, end;
  bool match;
};

// Joins or drops stretches as the step's behaviour says; `offset` is where the piece begins in the text.
void emit(std::vector<Stretch>& stretches, const Step& step, size_t offset, std::vector<Span>& out) {
  using B = Step::Behavior;
  std::vector<Stretch> joined;
  for (Stretch s : stretches) {
    if (s.begin == s.end) continue;
    if (step.invert) s.match = !s.match;
    const bool touches = !joined.empty() && joined.back().end == s.begin;
    if (step.behavior == B::removed && s.match) continue;
    if (step.behavior == B::merged_with_previous && s.match && touches) joined.back().end = s.end;
    else if (step.behavior == B::contiguous && touches && joined.back().match == s.match) joined.back().end = s.end;
    else if (step.behavior == B::merged_with_next && touches && joined.back().match && !s.match) joined.back() = {joined.back().begin, s.end, false};
    else joined.push_back(s);
    if (step.behavior == B::merged_with_previous) joined.back().match = false;
  }
  for (const Stretch& s : joined) out.push_back({offset + s.begin, offset + s.end});
}

std::vector<Stretch> by_regex(std::string_view text, const Regex& regex) {
  std::vector<Stretch> out;
  size_t at = 0, begin, end, from = 0;
  while (from <= text.size() && regex.find(text, from, begin, end)) {
    if (end == begin) {  // an empty match: go on behind the next code point
      if (begin >= text.size()) break;
      from = begin + utf8_step(text.substr(begin));
      if (begin > at) out.push_back({at, begin, false}), at = begin;
      continue;
    }
    if (begin > at) out.push_back({at, begin, false});
    out.push_back({begin, end, true});
    at = from = end;
  }
  if (at < text.size()) out.push_back({at, text.size(), false});
  return out;
}

// Code points that pass the test match, each on its own; what lies between is one stretch.
template <class Test>
std::vector<Stretch> by_class(std::string_view text, const Test& test) {
  std::vector<Stretch> out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    const size_t n = utf8_step(rest);
    const bool match = test(utf8_code_point(rest));
    if (!match && !out.empty() && !out.back().match) out.back().end = i + n;
    else out.push_back({i, i + n, match});
    i += n;
  }
  return out;
}

void words_of_bert(std::string_view text, size_t offset, std::vector<Span>& out) {
  size_t begin = 0;
  auto put = [&](size_t end) {
    if (end > begin) out.push_back({offset + begin, offset + end});
    begin = end;
  };
  for (size_t i = 0; i < text.size();) {
    const uint32_t c = utf8_code_point(text.substr(i));
    const size_t n = utf8_step(text.substr(i));
    if (is_space(c) || is_bert_punctuation(c)) {
      put(i);
      if (is_space(c)) begin = i + n;
      else put(i + n);
    }
    i += n;
  }
  put(text.size());
}

// Cuts before each `mark`; with `runs` only before those that do not follow another.
void before_marks(std::string_view text, std::string_view mark, bool runs, size_t offset, std::vector<Span>& out) {
  size_t begin = 0;
  for (size_t at = text.find(mark, 1); at != std::string_view::npos; at = text.find(mark, at + 1)) {
    if (runs && text.substr(0, at).ends_with(mark)) continue;
    out.push_back({offset + begin, offset + at});
    begin = at;
  }
  if (begin < text.size()) out.push_back({offset + begin, offset + text.size()});
}

// Steps that leave the text as it is.
void cut(const Step& s, std::string_view text, size_t offset, std::vector<Span>& out) {
  using Kind = Step::Kind;
  Step rule;
  rule.kind = s.kind, rule.behavior = s.behavior, rule.invert = s.invert;
  std::vector<Stretch> stretches;
  switch (s.kind) {
    case Kind::split: stretches = by_regex(text, *s.regex); break;
    case Kind::digits:
      rule.behavior = s.individual ? Step::Behavior::isolated : Step::Behavior::contiguous;
      stretches = by_class(text, [](uint32_t c) { return class_of(c) == CharClass::number; });
      break;
    case Kind::punctuation: stretches = by_class(text, is_bert_punctuation); break;
    case Kind::whitespace_split:
      rule.behavior = Step::Behavior::removed;
      stretches = by_class(text, is_space);
      break;
    case Kind::whitespace: {
      static const Regex words("\\w+|[^\\w\\s]+");
      rule.invert = true, rule.behavior = Step::Behavior::removed;
      stretches = by_regex(text, words);
      break;
    }
    case Kind::bert: return words_of_bert(text, offset, out);
    case Kind::word_starts: return before_marks(text, s.replacement, true, offset, out);
    case Kind::metaspace:
    case Kind::prefix_space: return;  // these change the text: see rewrite()
  }
  emit(stretches, rule, offset, out);
}

// Steps that change the text: a new one is made out of the pieces.
Pieces rewrite(const Step& s, const Pieces& pieces, bool first) {
  Pieces out;
  for (size_t i = 0; i < pieces.spans.size(); i++) {
    const std::string_view piece = pieces[i];
    const size_t begin = out.text.size();
    if (s.kind == Step::Kind::prefix_space) {
      if (!piece.starts_with(' ')) out.text += ' ';
      out.text += piece;
      out.spans.push_back({begin, out.text.size()});
      continue;
    }
    std::string replaced;
    for (char c : piece) {
      if (c == ' ') replaced += s.replacement;
      else replaced += c;
    }
    if ((s.prepend_always || (s.prepend_first && first && i == 0)) && !replaced.starts_with(s.replacement)) out.text += s.replacement;
    out.text += replaced;
    if (s.cut) before_marks(std::string_view(out.text).substr(begin), s.replacement, false, begin, out.spans);
    else out.spans.push_back({begin, out.text.size()});
  }
  return out;
}

void apply(const Step& s, Pieces& pieces, bool first) {
  if (s.kind == Step::Kind::metaspace || s.kind == Step::Kind::prefix_space) {
    pieces = rewrite(s, pieces, first);
    return;
  }
  std::vector<Span> out;
  out.reserve(pieces.text.size() / 4 + pieces.spans.size());
  std::vector<Span> inside;
  for (size_t i = 0; i < pieces.spans.size(); i++) {
    const size_t offset = pieces.spans[i].begin;
    if (!s.splitter) {
      cut(s, pieces[i], offset, out);
      continue;
    }
    inside.clear();
    s.splitter(pieces[i], inside);
    for (const Span& span : inside) out.push_back({offset + span.begin, offset + span.end});
  }
  pieces.spans = std::move(out);
}

// The end of the well-formed text that begins at `at`.
size_t valid_until(std::string_view text, size_t at) {
  while (at < text.size()) {
    const size_t n = utf8_length(text.substr(at));
    if (n == 0) break;
    at += n;
  }
  return at;
}

void append(Pieces& to, const Pieces& from) {
  const size_t offset = to.text.size();
  to.text += from.text;
  for (const Span& s : from.spans) to.spans.push_back({offset + s.begin, offset + s.end});
}

}  // namespace

Step Step::split(const std::string& pattern, Behavior behavior, bool invert) {
  Step s{};
  s.kind = Kind::split;
  s.regex = std::make_shared<Regex>(pattern);
  s.behavior = behavior;
  s.invert = invert;
  if (behavior == Behavior::isolated && !invert) s.splitter = splitter_for(pattern);
  return s;
}

Pieces pre_tokenize(const std::vector<Step>& steps, std::string text, bool first) {
  Pieces pieces;
  // Bytes that are no UTF-8 would end a match anywhere: they are pieces of their own, and the text between is cut as usual.
  if (valid_until(text, 0) < text.size()) {
    for (size_t i = 0; i < text.size();) {
      const size_t end = valid_until(text, i);
      if (end > i) append(pieces, pre_tokenize(steps, text.substr(i, end - i), first && i == 0));
      if (end < text.size()) append(pieces, {text.substr(end, 1), {{0, 1}}});
      i = end + 1;
    }
    return pieces;
  }
  pieces.spans = {{0, text.size()}};
  pieces.text = std::move(text);
  for (const Step& step : steps) apply(step, pieces, first);
  return pieces;
}

}  // namespace moiety
