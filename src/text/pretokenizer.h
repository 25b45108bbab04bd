// Cutting a text into the pieces that a subword model sees one by one.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"
#include "text/splitter.h"

namespace moiety {

struct PreTokenizerStep {
  // word_starts: in front of each run of `replacement`; it never changes an id where every token keeps to one word, and makes words
  // out of a text that has none.
  enum class Kind : uint8_t { split, digits, metaspace, word_starts, bert, whitespace, whitespace_split, punctuation, prefix_space };
  // What becomes of a match: a piece of its own, dropped, or joined to its neighbour. `contiguous` joins matches that touch.
  enum class Behavior : uint8_t { isolated, removed, merged_with_previous, merged_with_next, contiguous };
  Kind kind;
  std::shared_ptr<const Regex> regex;  // split
  Splitter splitter = nullptr;         // split: in place of `regex`, if that has a hand-written form and matches are isolated
  Behavior behavior = Behavior::isolated;
  bool invert = false;               // split: matches are what lies between
  bool individual = false;           // digits: each on its own
  std::string replacement = "\xe2\x96\x81";
  bool prepend_always = false, prepend_first = false;  // metaspace
  bool cut = true;                                     // metaspace: also cuts before each replacement

  static PreTokenizerStep split(const std::string& pattern, Behavior behavior = Behavior::isolated, bool invert = false);
};

struct Pieces {
  std::string text;         // as the steps have changed it
  std::vector<Span> spans;  // in order; what lies between them is dropped
  std::string_view operator[](size_t i) const { return std::string_view(text).substr(spans[i].begin, spans[i].end - spans[i].begin); }
};

// `first`: the text begins what was given to the tokenizer.
Pieces pre_tokenize(const std::vector<PreTokenizerStep>& steps, std::string text, bool first);

// The regular expressions of a pre-tokenizer by llama.cpp's name for it (key tokenizer.ggml.pre), applied one after another; null for a
// name that is not known.
const std::vector<std::string>* pretokenizer_regexes(std::string_view name);
std::vector<std::string_view> pretokenizer_names();
// True if llama.cpp takes a piece that is a token as that token under this name, whatever the merges say.
bool merges_are_ignored(std::string_view name);

}  // namespace moiety
