#include "data/evaluation_windows.h"

#include <algorithm>

#include "base/error.h"

namespace moiety {

EvaluationWindows::EvaluationWindows(TokenStream stream, size_t context, size_t overlap) : stream_(std::move(stream)), context_(context), overlap_(overlap) {
  if (overlap_ >= context_) throw Error("evaluation windows of {} tokens cannot overlap by {}; give a smaller overlap", context_, overlap_);
  const uint64_t targets = stream_.size() ? stream_.size() - 1 : 0;
  if (targets == 0) throw Error("{}: has no text to evaluate on; give a larger share to the validation part, or a text of its own", stream_.file().name());
  for (uint64_t begin = 0;; begin += context_ - overlap_) {
    const auto count = static_cast<uint32_t>(std::min<uint64_t>(context_, targets - begin));
    windows_.push_back({begin, static_cast<uint32_t>(begin ? overlap_ : 0), count, 0});
    if (begin + count == targets) break;
  }
  for (size_t i = 0; i < stream_.documents(); i++) {
    const uint64_t start = stream_.start_of(i), last = stream_.start_of(i + 1) - 1;
    if (i > 0) windows_[window_of(start)].bytes += 1;
    windows_[window_of(last)].bytes += stream_.document(i).bytes;
    bytes_ += stream_.document(i).bytes + (i > 0);
  }
}

// The window that predicts the id at this place of the stream: the first, or that which it is new to.
size_t EvaluationWindows::window_of(uint64_t target) const {
  const uint64_t step = context_ - overlap_;
  return target <= context_ ? 0 : (target - context_ + step - 1) / step;
}

void EvaluationWindows::read(size_t window, std::span<int32_t> inputs, std::span<int32_t> targets) const {
  const EvaluationWindow& w = windows_[window];
  std::vector<int32_t> ids(w.count + 1);
  stream_.read(w.begin, ids);
  std::ranges::fill(std::copy_n(ids.begin(), w.count, inputs.begin()), inputs.end(), 0);
  std::ranges::fill(targets, no_target);
  std::copy(ids.begin() + w.first + 1, ids.end(), targets.begin() + w.first);
  if (stream_.file().separator_size() == 1) return;
  for (size_t i = stream_.document_at(w.begin); i < stream_.documents() && stream_.start_of(i) < w.begin + w.count; i++)
    if (stream_.start_of(i) >= w.begin) targets[stream_.start_of(i) - w.begin] = no_target;
}

}  // namespace moiety
