#include "kernels/limits.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "base/huge_pages.h"
#include "kernels/panel_product.h"

namespace moiety {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int passes = 5;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Sums that stay in registers, lines asked for in order: reading is all that takes time.
uint64_t read_all(const uint64_t* p, size_t n) {
  uint64_t sum[16] = {};
  for (size_t i = 0; i < n; i += 16) {
    __builtin_prefetch(p + i + 512), __builtin_prefetch(p + i + 520);  // without it one core can't ask for enough lines at once
    for (size_t k = 0; k < 16; k++) sum[k] += p[i + k];
  }
  for (size_t k = 1; k < 16; k++) sum[0] += sum[k];
  return sum[0];
}

double read_bandwidth(Workers& workers) {
  constexpr size_t bytes = size_t{512} << 20, piece = size_t{1} << 20;
  const std::shared_ptr<std::byte> memory = huge_pages(bytes);
  std::byte* data = memory.get();
  workers.run(bytes / piece, 8, [&](size_t begin, size_t end, size_t) { std::memset(data + begin * piece, 1, (end - begin) * piece); });
  double best = 0;
  for (int pass = 0; pass < passes; pass++) {
    const Clock::time_point begin = Clock::now();
    workers.run(bytes / piece, 8, [&](size_t from, size_t to, size_t) {
      const uint64_t sum = read_all(reinterpret_cast<const uint64_t*>(data + from * piece), (to - from) * piece / sizeof(uint64_t));
      asm volatile("" : : "r"(sum));
    });
    best = std::max(best, static_cast<double>(bytes) / seconds_since(begin) / 1e9);
  }
  return best;
}

double multiply_rate(Workers& workers, uint64_t (*spin)(uint64_t)) {
  uint64_t rounds = 100;
  for (Clock::time_point begin = Clock::now(); spin(rounds), seconds_since(begin) < 0.005; begin = Clock::now()) rounds *= 2;
  double best = 0;
  for (int pass = 0; pass < passes; pass++) {
    std::atomic<uint64_t> done{0};
    const Clock::time_point begin = Clock::now();
    // Many pieces each, or one worker could take those of one that is still waking up.
    workers.run(16 * workers.size(), 1, [&](size_t, size_t, size_t) { done += spin(rounds / 4); });
    best = std::max(best, static_cast<double>(done.load()) / seconds_since(begin) / 1e9);
  }
  return best;
}

}  // namespace

MachineLimits measure_limits(Workers& workers) {
  const PanelKernels& kernels = panel_kernels();
  return {read_bandwidth(workers), multiply_rate(workers, kernels.spin_bytes), multiply_rate(workers, kernels.spin_floats)};
}

}  // namespace moiety
