// Regular expressions with Unicode classes (PCRE2, compiled to machine code).
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace moiety {

class Regex {
 public:
  explicit Regex(const std::string& pattern);  // Error if the pattern is none
  // The first match at or after `from`: [begin, end). False if there is none. `text` must be valid UTF-8; `from` lies between code
  // points. Runs out of steps on hostile input with an Error.
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const;
  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_;
  std::shared_ptr<void> code_;
  bool compiled_ = false;  // to machine code
};

}  // namespace moiety
