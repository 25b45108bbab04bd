// The plan of one expert that serves all rows; made anew only where their number changes.
#pragma once
#include <memory>
#include <vector>

#include "gradients/grouped_experts.h"

namespace moiety {

class EveryRow {
 public:
  const std::shared_ptr<const ExpertSlots>& slots(int64_t rows) {
    if (slots_ && slots_->rows() == static_cast<size_t>(rows)) return slots_;
    std::vector<int64_t> first(static_cast<size_t>(rows) + 1);
    for (size_t i = 0; i < first.size(); i++) first[i] = static_cast<int64_t>(i);
    slots_ = std::make_shared<ExpertSlots>(expert_slots(first, std::vector<int32_t>(static_cast<size_t>(rows), 0), 1));
    return slots_;
  }

 private:
  std::shared_ptr<const ExpertSlots> slots_;
};

}  // namespace moiety
