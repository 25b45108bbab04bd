#include "kernels/second_cache.h"

namespace moiety {

const bool reads_through_second_cache = (__builtin_cpu_init(), __builtin_cpu_is("intel"));

}  // namespace moiety
