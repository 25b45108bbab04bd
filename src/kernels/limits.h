// What the machine can do, measured: the rates that no program can pass.
#pragma once
#include "base/threads.h"

namespace moiety {

struct MachineLimits {
  double read_gb_per_s = 0;       // all workers read memory, one after the other of its bytes
  double byte_gmac_per_s = 0;     // multiply-adds of bytes, on the instruction set in use
  double float_gmac_per_s = 0;    // of float32
};

// The best of a few passes of some ten milliseconds each. Takes 512 MiB while it runs.
MachineLimits measure_limits(Workers& workers);

}  // namespace moiety
