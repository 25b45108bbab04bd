// A fixed team of threads that works through index ranges.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace moiety {

// CPUs that affinity and cgroup quota allow, hyperthreads counted once.
size_t default_thread_count();

// Its two halves, for a machine whose files lie under `root`. Cores among CPUs: hyperthreads of one core share their list of siblings.
size_t count_cores(const std::vector<int>& cpus, const std::filesystem::path& root);
// CPUs by the quota of the process's cgroup and of those around it, rounded up; 0: no limit. Versions 1 and 2.
size_t quota_cpus(const std::filesystem::path& root);

// How long the first ranges are that threads take of a count. `many`: a quarter of a thread's share, for work whose parts cost more or less; `few`: the
// whole of it, for work that waits for memory, which has to begin anew with each range.
enum class Ranges : unsigned char { many, few };

class Workers {
 public:
  explicit Workers(size_t threads);  // this many in all, the caller among them
  ~Workers();
  size_t size() const;

  using Work = std::function<void(size_t begin, size_t end, size_t worker)>;

  // Calls work(begin, end, worker) on disjoint ranges that cover [0, count), each a multiple of `grain` long but the last, long ones first;
  // worker < size(). Which worker gets which range is open, so no result may depend on it. Returns when all is done; the first
  // exception of a worker is thrown here. One call at a time; calls do not nest.
  void run(size_t count, size_t grain, const Work& work, Ranges ranges = Ranges::many);

  // The same with two kinds of work, of which the second needs all that the first makes: its ranges are handed out once those of the first are done.
  struct Phase {
    size_t count, grain;
    const Work& work;
    Ranges ranges = Ranges::many;
  };
  void run(const Phase& first, const Phase& second);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moiety
