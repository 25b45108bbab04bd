#include "experts/bank.h"

namespace moiety {
namespace {

class MemoryLease : public Lease {
 public:
  explicit MemoryLease(std::vector<ExpertView> views) : views_(std::move(views)) {}
  size_t wait_any() override { return next_ < views_.size() ? next_++ : none; }
  bool all_ready() const override { return true; }
  const ExpertView& view(size_t i) override { return views_[i]; }

 private:
  std::vector<ExpertView> views_;
  size_t next_ = 0;
};

}  // namespace

uint64_t ExpertView::bytes() const {
  uint64_t sum = 0;
  for (const Part& part : parts) sum += bytes_of(part.matrix.type, part.matrix.cols) * part.matrix.rows;
  return sum;
}

std::unique_ptr<Lease> MemoryBank::lease(std::span<const uint32_t> ids) {
  std::vector<ExpertView> views;
  for (uint32_t id : ids) views.push_back({experts_.at(id).kind, experts_.at(id).parts});
  return std::make_unique<MemoryLease>(std::move(views));
}

}  // namespace moiety
