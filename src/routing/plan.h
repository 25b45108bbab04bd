// Which experts serve which tokens, and with what weight.
//
// The plan is ragged: a row (a token, a sub-token, a slot) may be served by no expert, one, or many. It is the only thing that the
// routing plane hands to the compute plane, and the only thing that traces record.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace moiety {

struct Choice {
  uint32_t expert;  // an id of the site's bank; ids may outnumber router rows
  float weight;     // as used in the weighted sum, after every rescaling
};

class RoutingPlan {
 public:
  // Choices of one row, in descending weight; equal weights by ascending id.
  std::span<const Choice> operator[](size_t row) const { return {choices_.data() + first_[row], first_[row + 1] - first_[row]}; }
  size_t rows() const { return first_.size() - 1; }

  void append_row(std::span<const Choice> choices) {
    choices_.insert(choices_.end(), choices.begin(), choices.end());
    first_.push_back(choices_.size());
  }

 private:
  std::vector<Choice> choices_;      // all rows, one after another
  std::vector<size_t> first_ = {0};  // [rows + 1] where each row's choices begin
};

}  // namespace moiety
