#include "base/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace moiety {
namespace {

// Cores among the CPUs that this process may use: hyperthreads of one core share their list of siblings.
size_t allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &set)) continue;
    std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::max<size_t>(1, cores.size());
}

// CPUs by the cgroup's quota, rounded up; 0: no limit.
size_t quota_cpus() {
  std::string quota, period;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> quota >> period && quota != "max")
    return static_cast<size_t>((std::stod(quota) + std::stod(period) - 1) / std::stod(period));
  std::ifstream q("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), p("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double limit = -1, length = 0;
  if (q >> limit && p >> length && limit > 0 && length > 0) return static_cast<size_t>((limit + length - 1) / length);
  return 0;
}

}  // namespace

size_t default_thread_count() {
  const size_t quota = quota_cpus();
  return quota ? std::max<size_t>(1, std::min(allowed_cores(), quota)) : allowed_cores();
}

// A round is announced by raising `round`; workers spin for it a little and then sleep.
struct Workers::State {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<uint64_t> round{0};
  std::atomic<size_t> running{0};
  bool stop = false;  // guarded by mutex

  const std::function<void(size_t, size_t, size_t)>* work = nullptr;
  size_t count = 0, grain = 1;
  std::atomic<size_t> next{0};
  std::exception_ptr failure;  // guarded by mutex

  void take_ranges(size_t worker) {
    try {
      for (;;) {
        const size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= count) return;
        (*work)(begin, std::min(count, begin + grain), worker);
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next.store(count, std::memory_order_relaxed);
    }
  }

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

void Workers::run(size_t count, size_t grain, const std::function<void(size_t, size_t, size_t)>& work) {
  State& s = *state_;
  grain = std::max<size_t>(1, grain);
  if (s.threads.empty() || count <= grain) {
    for (size_t begin = 0; begin < count; begin += grain) work(begin, std::min(count, begin + grain), 0);
    return;
  }
  s.work = &work;
  s.count = count;
  s.grain = grain;
  s.next.store(0, std::memory_order_relaxed);
  s.running.store(s.threads.size(), std::memory_order_relaxed);
  {
    const std::lock_guard lock(s.mutex);
    s.failure = nullptr;
    s.round.fetch_add(1, std::memory_order_release);
  }
  s.wake.notify_all();
  s.take_ranges(0);
  for (int spin = 0; spin < 20000 && s.running.load(std::memory_order_acquire) != 0; spin++) __builtin_ia32_pause();
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, [&] { return s.running.load(std::memory_order_acquire) == 0; });
  if (s.failure) std::rethrow_exception(s.failure);
}

}  // namespace moiety
