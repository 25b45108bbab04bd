// Cutting a text into the pieces that a subword model sees one by one.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace moiety {

struct PreTokenizerStep {
  enum class Kind : uint8_t { split, digits, metaspace, bert, whitespace, whitespace_split, punctuation, prefix_space };
  // What becomes of a match: a piece of its own, dropped, or joined to its neighbour. `contiguous` joins matches that touch.
  enum class Behavior : uint8_t { isolated, removed, merged_with_previous, merged_with_next, contiguous };
  Kind kind;
  std::shared_ptr<const Regex> regex;  // split
  Behavior behavior = Behavior::isolated;
  bool invert = false;               // split: matches are what lies between
  bool individual = false;           // digits: each on its own
  std::string replacement = "\xe2\x96\x81";
  bool prepend_always = false, prepend_first = false;  // metaspace
  bool cut = true;                                     // metaspace: also cuts before each replacement
};

// `first`: the text begins what was given to the tokenizer.
std::vector<std::string> pre_tokenize(const std::vector<PreTokenizerStep>& steps, std::string text, bool first);

// The regular expressions of a pre-tokenizer by llama.cpp's name for it (key tokenizer.ggml.pre), applied one after another; null for a
// name that is not known.
const std::vector<std::string>* pretokenizer_regexes(std::string_view name);

}  // namespace moiety
