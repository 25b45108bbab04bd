// What this process takes of the machine's memory.
#pragma once
#include <cstdint>

namespace moiety {

uint64_t machine_memory_bytes();
// The most that it held at once, mapped files that were read among it.
uint64_t peak_memory_bytes();
// From here on only what is held later counts, where the system can do that.
void reset_peak_memory();

// Memory that is given back stays with the process for the next request: the buffers of a pass over a long prompt, which come and go with
// every layer, are otherwise cleared by the system each time, on one thread.
void keep_freed_memory();

}  // namespace moiety
