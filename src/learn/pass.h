// What a forward and backward pass needs besides tensors. It outlives the graph that was built with it.
#pragma once
#include "base/threads.h"
#include "learn/arena.h"

namespace moiety {

struct Pass {
  Workers& workers;
  Arena* arena = nullptr;  // where parameters' gradients go; a tensor that is none of its parameters gets a gradient of its own
  GradientRoom room;
  Precision precision = Precision::f32;  // of the large products: experts', attention's projections, the head's
};

}  // namespace moiety
