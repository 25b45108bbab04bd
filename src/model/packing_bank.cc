#include "model/packing_bank.h"

namespace moiety {

std::unique_ptr<Lease> PackingBank::lease(std::span<const uint32_t> ids) {
  hint(ids, 1);
  return MemoryBank::lease(ids);
}

void PackingBank::hint(std::span<const uint32_t> ids, float) {
  const std::lock_guard lock(mutex_);
  for (uint32_t id : ids) {
    if (packed_.at(id)) continue;
    packed_[id] = true;
    for (Part& part : experts_[id].parts)
      if (!part.matrix.panels && !is_bias(part.role)) packer_->pack(part.matrix, true);
  }
}

}  // namespace moiety
