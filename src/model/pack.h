// Weights into kernel order, matrix by matrix, so that they are never in memory twice: what every token needs while a checkpoint is read,
// experts when they are first used (model/packing_bank.h).
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "base/threads.h"
#include "kernels/matrix.h"

namespace moiety {

class Packer {
 public:
  explicit Packer(size_t threads) : workers_(threads) {}

  // Gives m panels if its type has any, and takes its rows away. Otherwise m stays. Where the rows lie in a `mapped` file, its pages leave
  // memory. The panels live as long as the packer. May be called from several threads.
  void pack(Matrix& m, bool mapped);

 private:
  std::byte* allocate(size_t bytes);

  std::mutex mutex_;
  Workers workers_;
  std::vector<std::shared_ptr<void>> storage_;
  std::byte* free_ = nullptr;  // what is left of the last block
  size_t left_ = 0;
};

}  // namespace moiety
