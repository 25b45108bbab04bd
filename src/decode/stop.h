// Stop strings over a stream of text: what may be the beginning of one is held back until it is known.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace moiety {

// The text ends before the stop string that is complete first; of several complete at the same byte, before the one that begins
// first. How the text is cut into pieces makes no difference.
class StopStrings {
 public:
  // UsageError where one is empty.
  explicit StopStrings(std::vector<std::string> stops);

  // The text that is now sure to come before any stop string. Nothing once stopped.
  std::string push(std::string_view piece);
  // The rest that was held back, when the stream ended for another reason.
  std::string finish();

  bool stopped() const { return stopped_; }

 private:
  size_t held_back() const;

  std::vector<std::string> stops_;  // longest first
  std::string held_;
  bool stopped_ = false;
};

}  // namespace moiety
