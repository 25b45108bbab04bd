#include "base/threads.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace moiety {
namespace {

// The first line of a file, or nothing.
std::string first_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// CPUs' worth of time that "quota period" gives, rounded up; 0 where it is "max" or none.
size_t cpus_of(const std::string& quota, const std::string& period) {
  const double time = std::strtod(quota.c_str(), nullptr), length = std::strtod(period.c_str(), nullptr);
  return time > 0 && length > 0 ? static_cast<size_t>(std::ceil(time / length)) : 0;
}

// The tightest limit of a cgroup and those around it; 0: none.
template <class Limit>
size_t tightest(const std::filesystem::path& root, const std::filesystem::path& group, Limit limit) {
  size_t least = 0;
  for (std::filesystem::path at = group.relative_path();; at = at.parent_path()) {
    const size_t cpus = limit(root / at);
    if (cpus && (!least || cpus < least)) least = cpus;
    if (at.empty()) return least;
  }
}

size_t allowed_cores(const std::filesystem::path& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return std::max<size_t>(1, count_cores(cpus, root));
}

}  // namespace

size_t count_cores(const std::vector<int>& cpus, const std::filesystem::path& root) {
  std::set<std::string> cores;
  for (int cpu : cpus) {
    const std::string siblings = first_line(root / fmt::format("sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    cores.insert(siblings.empty() ? std::to_string(cpu) : siblings);
  }
  return cores.size();
}

size_t quota_cpus(const std::filesystem::path& root) {
  std::ifstream groups(root / "proc/self/cgroup");
  size_t least = 0;
  for (std::string line; std::getline(groups, line);) {  // "0::/path", or "4:cpu,cpuacct:/path" of version 1
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",", group = line.substr(second + 1);
    size_t cpus = 0;
    if (controllers == ",,") {
      cpus = tightest(root / "sys/fs/cgroup", group, [](const std::filesystem::path& at) {
        std::istringstream words(first_line(at / "cpu.max"));
        std::string quota, period;
        words >> quota >> period;
        return cpus_of(quota, period);
      });
    } else if (controllers.find(",cpu,") != std::string::npos) {
      cpus = tightest(root / "sys/fs/cgroup/cpu", group,
                      [](const std::filesystem::path& at) { return cpus_of(first_line(at / "cpu.cfs_quota_us"), first_line(at / "cpu.cfs_period_us")); });
    }
    if (cpus && (!least || cpus < least)) least = cpus;
  }
  return least;
}

size_t default_thread_count() {
  const size_t quota = quota_cpus("/"), cores = allowed_cores("/");
  return quota ? std::min(cores, quota) : cores;
}

// A round is announced by raising `round`; workers spin for it a little and then sleep.
struct Workers::State {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<uint64_t> round{0};
  std::atomic<size_t> running{0};
  bool stop = false;  // guarded by mutex

  struct Left {  // of a phase
    std::atomic<size_t> next{0}, done{0};
  };
  std::span<const Phase> phases;
  std::array<Left, 2> left;
  std::atomic<bool> failed{false};
  std::exception_ptr failure;  // guarded by mutex

  // A range from what is left, empty when nothing is. Long ranges first, since what they read lies together in memory; the last ones are short, so
  // that no thread waits long for another (Polychronopoulos and Kuck 1987, "Guided Self-Scheduling").
  std::pair<size_t, size_t> take_range(const Phase& phase, Left& left) const {
    const size_t parts = (phase.ranges == Ranges::few ? 1 : 4) * (threads.size() + 1);  // a range is so many-th part of what is left
    size_t begin = left.next.load(std::memory_order_relaxed), end;
    do {
      if (begin >= phase.count) return {phase.count, phase.count};
      const size_t grains = (phase.count - begin) / phase.grain / parts;
      end = std::min(phase.count, begin + std::max<size_t>(1, grains) * phase.grain);
    } while (!left.next.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    return {begin, end};
  }

  // What others still work at is a range each, so it doesn't take long.
  void await(const Phase& phase, const Left& left) const {
    for (int spin = 0; left.done.load(std::memory_order_acquire) != phase.count && !failed.load(std::memory_order_relaxed); spin++) {
      if (spin < 20000) __builtin_ia32_pause();
      else std::this_thread::yield();
    }
  }

  void take_ranges(size_t worker) {
    try {
      for (size_t p = 0; p < phases.size(); p++) {
        if (p > 0) await(phases[p - 1], left[p - 1]);
        for (;;) {
          if (failed.load(std::memory_order_relaxed)) return;
          const auto [begin, end] = take_range(phases[p], left[p]);
          if (begin == end) break;
          phases[p].work(begin, end, worker);
          left[p].done.fetch_add(end - begin, std::memory_order_release);
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      failed.store(true, std::memory_order_relaxed);
    }
  }

  void run(std::span<const Phase> all);

  void serve(size_t worker) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < 2000 && round.load(std::memory_order_acquire) == seen; spin++) __builtin_ia32_pause();
      if (round.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop || round.load(std::memory_order_acquire) != seen; });
        if (stop) return;
      }
      seen = round.load(std::memory_order_acquire);
      take_ranges(worker);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        const std::lock_guard lock(mutex);
        done.notify_one();
      }
    }
  }
};

Workers::Workers(size_t threads) : state_(std::make_unique<State>()) {
  for (size_t worker = 1; worker < threads; worker++)
    state_->threads.emplace_back([state = state_.get(), worker] { state->serve(worker); });
}

Workers::~Workers() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  for (std::thread& thread : state_->threads) thread.join();
}

size_t Workers::size() const { return state_->threads.size() + 1; }

void Workers::State::run(std::span<const Phase> all) {
  const bool alone = threads.empty() || std::ranges::all_of(all, [](const Phase& phase) { return phase.count <= phase.grain; });
  if (alone) {
    for (const Phase& phase : all)
      if (phase.count != 0) phase.work(0, phase.count, 0);
    return;
  }
  phases = all;
  for (Left& l : left) {
    l.next.store(0, std::memory_order_relaxed);
    l.done.store(0, std::memory_order_relaxed);
  }
  failed.store(false, std::memory_order_relaxed);
  running.store(threads.size(), std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex);
    failure = nullptr;
    round.fetch_add(1, std::memory_order_release);
  }
  wake.notify_all();
  take_ranges(0);
  for (int spin = 0; spin < 20000 && running.load(std::memory_order_acquire) != 0; spin++) __builtin_ia32_pause();
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return running.load(std::memory_order_acquire) == 0; });
  if (failure) std::rethrow_exception(failure);
}

static Workers::Phase with_a_grain(Workers::Phase phase) {
  phase.grain = std::max<size_t>(1, phase.grain);
  return phase;
}

void Workers::run(size_t count, size_t grain, const Work& work, Ranges ranges) {
  const Phase one[] = {with_a_grain({count, grain, work, ranges})};
  state_->run(one);
}

void Workers::run(const Phase& first, const Phase& second) {
  const Phase two[] = {with_a_grain(first), with_a_grain(second)};
  state_->run(two);
}

}  // namespace moiety
