// A stream cut into windows whose predictions together are a code for its text, so that their bits divided by its bytes are exact.
//
// The ids are taken in order, each predicted once, from those before it in its window. What a window begins with (`overlap` ids of the
// one before, and the first id of all) is only looked at. The separator in front of a document is predicted like any id, and stands for
// the form feed that ends the document before; so a document's first id is predicted from the separator, behind the end of
// another document, as in training. The bytes are then those of the documents with one form feed between two: the length of the
// text file that `xz` would be given. Of a separator of two ids (end, begin) the second says nothing new and is not counted.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/token_stream.h"

namespace moiety {

inline constexpr int32_t no_target = -1;

struct EvaluationWindow {
  uint64_t begin;  // of its inputs, in the stream
  uint32_t first, count;  // targets [first, count) are predicted; target i is the id at begin + i + 1
  uint64_t bytes;  // of the documents and separators that end in it: over all windows, the bytes of the text
};

class EvaluationWindows {
 public:
  // An Error if the stream has nothing to predict. overlap < context.
  EvaluationWindows(TokenStream stream, size_t context, size_t overlap = 0);

  size_t size() const { return windows_.size(); }
  const EvaluationWindow& operator[](size_t i) const { return windows_[i]; }
  uint64_t bytes() const { return bytes_; }
  // inputs, targets [context]; targets that do not count are no_target, inputs behind the end are 0.
  void read(size_t window, std::span<int32_t> inputs, std::span<int32_t> targets) const;

 private:
  size_t window_of(uint64_t target) const;

  TokenStream stream_;
  size_t context_, overlap_;
  std::vector<EvaluationWindow> windows_;
  uint64_t bytes_ = 0;
};

}  // namespace moiety
