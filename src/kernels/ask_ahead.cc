#include "kernels/ask_ahead.h"

namespace moiety {

// The first cache waits for few lines at once: 12 to 16 on Intel's cores, where the second takes 48, and 24 on Zen 4, where those that are on their way keep
// other loads waiting; on Zen 3 it makes no difference. 8 KiB are far enough ahead for a core that reads 40 GB/s from a memory 200 ns away,
// and near enough for a first cache of 32 KiB; Zen 4 reads a single row's weights faster of its own accord, if it is asked to begin, and so does Zen 3, where two streams
// are as fast as only reading. Intel's cores, which read 15 GB/s, are fastest with the 48 lines that their second cache waits for, and in two streams, as that cache
// reads each of them ahead by itself, but only so far.
static AskAhead ask_ahead_here() {
  constexpr size_t far = 8192, waited_for = 48 * 64;
  __builtin_cpu_init();
  if (__builtin_cpu_is("amdfam19h")) {
    const bool zen4 = __builtin_cpu_supports("avx512f");  // the family's others are Zen 3
    if (zen4) return {{Ask::second, 768}, {Ask::second, far}, Ask::second, false};
    return {{Ask::first, 1536}, {Ask::first, 2048}, Ask::first, true};
  }
  if (__builtin_cpu_is("intel")) return {{Ask::both, waited_for}, {Ask::both, waited_for}, Ask::second, true};
  return {{Ask::first, far}, {Ask::first, far}, Ask::first, false};
}

const AskAhead ask_ahead = ask_ahead_here();

}  // namespace moiety
