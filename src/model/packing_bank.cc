#include "model/packing_bank.h"

namespace moiety {

std::unique_ptr<Lease> PackingBank::lease(std::span<const uint32_t> ids) {
  hint(ids, 1);
  return MemoryBank::lease(ids);
}

void PackingBank::hint(std::span<const uint32_t> ids, float) {
  const std::lock_guard lock(mutex_);
  for (uint32_t id : ids)
    for (Part& part : experts_.at(id).parts)
      if (!part.matrix.panels && !is_vector(part.role)) packer_->pack(part.matrix, true);
}

}  // namespace moiety
