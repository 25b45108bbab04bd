// Weights into kernel order while a checkpoint is read, matrix by matrix, so that they are never in memory twice.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "base/threads.h"
#include "kernels/matrix.h"

namespace moiety {

class Packer {
 public:
  explicit Packer(size_t threads) : workers_(threads) {}

  // Gives m panels if its type has any, and takes its rows away. Otherwise m stays. Where the rows lie in a `mapped` file, its pages leave
  // memory.
  void pack(Matrix& m, bool mapped);

  // What holds the panels.
  const std::vector<std::shared_ptr<void>>& storage() const { return storage_; }

 private:
  std::byte* allocate(size_t bytes);

  Workers workers_;
  std::vector<std::shared_ptr<void>> storage_;
  std::byte* free_ = nullptr;  // what is left of the last block
  size_t left_ = 0;
};

}  // namespace moiety
