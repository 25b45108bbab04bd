// What happens to a text before it is cut: Unicode forms, case, accents, replacements.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace moiety {

struct NormalizerStep {
  enum class Kind : uint8_t { nfc, nfd, nfkc, nfkd, lowercase, strip_accents, bert, replace, replace_regex, prepend, strip, charsmap,
                              collapse_spaces };
  Kind kind;
  std::string from, to;                // replace; prepend: to
  std::shared_ptr<const Regex> regex;  // replace_regex
  bool left = true, right = true;      // strip
  bool clean = true, chinese = true, accents = true, lower = true;  // bert: accents are stripped
  std::shared_ptr<const std::string> charsmap;  // SentencePiece's precompiled map
};

// Invalid UTF-8 passes through where a step does not need to understand it.
std::string normalize(const std::vector<NormalizerStep>& steps, std::string text);

// SentencePiece's precompiled character map: u32 size of a double-array trie, the trie, then zero-terminated replacements. Error if
// it is none.
std::shared_ptr<const std::string> check_charsmap(std::string blob, const std::string& origin);

}  // namespace moiety
