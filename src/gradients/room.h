// Memory that passes over rows need for the length of a call; kept from call to call, on huge pages, never cleared again.
#pragma once
#include <vector>

#include "kernels/gemm.h"

namespace moiety {

// What one part's passes share; a part after another uses the same.
struct GradientRoom {
  std::vector<GemmRoom> products;  // one for each thread
  std::vector<Floats> threads;     // one for each thread
  Floats inputs, hidden, outputs, partial;

  void grow_to(size_t count) {
    if (products.size() < count) products.resize(count);
    if (threads.size() < count) threads.resize(count);
  }
};

}  // namespace moiety
