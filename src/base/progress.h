// How far long work has come, with its rate and the time left, on stderr.
//
// On a terminal a bar, once the work has taken two seconds; elsewhere a plain line every few seconds; with --quiet nothing.
#pragma once
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace moiety {

// Told by long work how far it has come, by any thread. Null: nobody asks.
using OnProgress = std::function<void(uint64_t done, uint64_t all)>;

// Where progress is shown. Tests set their own clock and sink.
struct ProgressOutput {
  bool quiet = false;
  bool terminal = false;  // a bar that is redrawn in place; otherwise lines
  bool colour = false;
  size_t columns = 80;
  std::function<double()> seconds;               // a clock that never goes back
  std::function<void(std::string_view)> write;
};

// Stderr as it is: whether it is a terminal, how wide, and whether NO_COLOR forbids colours.
ProgressOutput progress_on_stderr(bool quiet);

class Progress {
 public:
  // "convert", in "tensors" (counted) or in "bytes" (shown as KiB, MiB …). `total` 0: not known, so there is no bar and no time left.
  Progress(std::string label, std::string unit, uint64_t total, ProgressOutput output);
  ~Progress();  // a bar that is still drawn is wiped away
  Progress(const Progress&) = delete;

  // Any thread may call these.
  void advance(uint64_t count = 1);
  void set(uint64_t done, uint64_t total);

 private:
  void show();
  std::string text(double elapsed) const;
  std::string amount(double count) const;

  std::string label_, unit_;
  uint64_t done_ = 0, total_;
  ProgressOutput output_;
  double began_ = 0, shown_ = 0;
  bool drawn_ = false;
  std::mutex mutex_;
};

// A Progress on stderr that ends with its last copy.
OnProgress show_progress(std::string label, std::string unit, bool quiet);

}  // namespace moiety
