// What the rows of one pipeline looked like before each of its stages: what their gradient is computed from.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "routing/stage.h"

namespace moiety {

class RoutingHistory {
 public:
  // Forgets the rows and keeps the room, so that a history that is used again allocates nothing.
  void clear() { lists_.clear(), candidates_.clear(); }
  size_t rows() const { return lists_.size() / per_row_; }

  // A row's candidates before a stage; with the number of stages, those that were left. A source has none before it.
  std::span<const Candidate> before(size_t row, size_t stage) const {
    const List& list = lists_[row * per_row_ + stage];
    return {candidates_.data() + list.at, list.count};
  }

 private:
  friend class Pipeline;
  struct List {
    size_t at = 0, count = 0;
  };
  // Returns the first one's number.
  size_t add_rows(size_t count, size_t stages) {
    const size_t first = rows();
    per_row_ = stages + 1;
    lists_.resize((first + count) * per_row_);
    return first;
  }
  void keep(size_t row, size_t stage, std::span<const Candidate> list) {
    lists_[row * per_row_ + stage] = {candidates_.size(), list.size()};
    candidates_.insert(candidates_.end(), list.begin(), list.end());
  }

  size_t per_row_ = 1;
  std::vector<List> lists_;  // [rows, stages + 1]
  std::vector<Candidate> candidates_;
};

}  // namespace moiety
