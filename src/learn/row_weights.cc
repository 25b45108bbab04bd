#include "learn/row_weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace moiety {

at::Tensor row_weights(const ExpertSlots& slots, const at::Tensor& weight) {
  const int64_t rows = static_cast<int64_t>(slots.rows()), experts = static_cast<int64_t>(slots.experts());
  at::Tensor place = at::empty({static_cast<int64_t>(slots.slots())}, at::kLong);
  for (size_t r = 0; r < slots.rows(); r++)
    for (size_t i = slots.first_of_row[r]; i < slots.first_of_row[r + 1]; i++) {
      const auto after = std::ranges::upper_bound(slots.first_of_expert, slots.slot_of[i]);
      place.data_ptr<int64_t>()[i] = static_cast<int64_t>(r) * experts + (after - slots.first_of_expert.begin() - 1);
    }
  return at::index_add(at::zeros({rows * experts}, weight.options()), 0, place.to(weight.device()), weight).view({rows, experts});
}

}  // namespace moiety
