#include "kernels/ask_ahead.h"

namespace moiety {

// The first cache waits for few lines at once: 12 to 16 on Intel's cores, where the second takes 48, and 24 on Zen 4, where those that are on their way keep
// loads of other things waiting. On AMD's other cores the second one wasn't measured.
static AskAhead ask_ahead_here() {
  __builtin_cpu_init();
  const bool zen4 = __builtin_cpu_is("amdfam19h") && __builtin_cpu_supports("avx512f");  // the family's others are Zen 3
  if (zen4) return {Ask::nothing, Ask::second, Ask::second};
  if (__builtin_cpu_is("intel")) return {Ask::both, Ask::both, Ask::second};
  return {Ask::first, Ask::first, Ask::first};
}

const AskAhead ask_ahead = ask_ahead_here();

}  // namespace moiety
