// Memory for tensors that is used again from step to step.
#pragma once

namespace moiety {

// From now on libtorch's tensors come from blocks that are kept when they are given back, on huge pages where they are large. libtorch's own
// allocator returns large blocks to the system, which clears them again in every step: a tenth of a step's time.
void keep_tensor_memory();

}  // namespace moiety
