// A parameter for libtorch's own operations: what small parts are made of that have no pass in gradients/.
#pragma once
#include "learn/pass.h"

namespace moiety {

// The parameter's numbers in the graph. Its gradient goes to its place in the arena.
at::Tensor in_graph(const at::Tensor& parameter, Pass& pass);

}  // namespace moiety
