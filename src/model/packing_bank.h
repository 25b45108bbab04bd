// A bank of a checkpoint that rests in rows: an expert goes into kernel order when it is first leased. The first token waits for the few
// experts that it uses, and experts that nothing uses stay in the file.
#pragma once
#include <mutex>

#include "experts/bank.h"
#include "model/pack.h"

namespace moiety {

class PackingBank : public MemoryBank {
 public:
  // Matrices in rows must lie in a mapped file.
  PackingBank(std::vector<Expert> experts, std::shared_ptr<Packer> packer) : MemoryBank(std::move(experts)), packer_(std::move(packer)) {}
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override;
  void hint(std::span<const uint32_t> ids, float urgency) override;

 private:
  std::mutex mutex_;
  std::shared_ptr<Packer> packer_;
};

}  // namespace moiety
