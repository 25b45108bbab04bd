// From ids to weights: the expert plane.
//
// A bank answers to ids [0, size()). It leases many at once and hands out each view as it arrives, in any order. Several ids may
// stand for one record, several sites may share a bank, and a bank may wrap another. A view lives as long as its lease.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "experts/kind.h"

namespace moiety {

struct Part {
  PartRole role;
  Matrix matrix;  // a bias is a matrix of one row
};

struct ExpertView {
  const ExpertKind* kind = &ffn_expert;
  std::span<const Part> parts;

  const Matrix* find(PartRole role) const {
    for (const Part& part : parts)
      if (part.role == role) return &part.matrix;
    return nullptr;
  }
  uint64_t bytes() const;
};

class Lease {
 public:
  static constexpr size_t none = SIZE_MAX;
  virtual ~Lease() = default;
  // Position in the leased ids of one that has arrived and was not returned before; waits for it. `none` when all were returned.
  virtual size_t wait_any() = 0;
  // Whether all have arrived: then view(i) may be asked without waiting.
  virtual bool all_ready() const { return false; }
  // The view of the i-th leased id, once wait_any has returned i.
  virtual const ExpertView& view(size_t i) = 0;
};

class ExpertBank {
 public:
  virtual ~ExpertBank() = default;
  virtual uint32_t size() const = 0;
  // The id that stands for the same weights; ids with equal records are one expert. By default each id is its own.
  virtual uint32_t record(uint32_t id) const { return id; }
  virtual std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) = 0;
  virtual void hint(std::span<const uint32_t> ids, float urgency) { (void)ids, (void)urgency; }
};

// All experts in memory, or in a mapped file.
class MemoryBank : public ExpertBank {
 public:
  struct Expert {
    const ExpertKind* kind = &ffn_expert;
    std::vector<Part> parts;
  };
  explicit MemoryBank(std::vector<Expert> experts) : experts_(std::move(experts)) {}
  uint32_t size() const override { return static_cast<uint32_t>(experts_.size()); }
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override;

 protected:
  std::vector<Expert> experts_;
};

}  // namespace moiety
