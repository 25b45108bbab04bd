// Which cache what is wanted in a while is asked into.
#pragma once

namespace moiety {

// Whether what is read ahead from memory comes faster by way of the second-level cache. Intel's cores wait for few lines at once in the first (12 to 16, and 48
// in the second); on AMD's, asking the first one was measured, the second not.
extern const bool reads_through_second_cache;

}  // namespace moiety
