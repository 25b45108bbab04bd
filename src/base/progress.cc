#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/size.h"

namespace moiety {
namespace {

constexpr double first_bar_s = 2, bar_every_s = 0.1, line_every_s = 5;
constexpr size_t bar_width = 24;

// "4 s", "3 min 20 s", "2 h 05 min"
std::string show_time(double seconds) {
  const auto s = static_cast<uint64_t>(std::ceil(std::min(seconds, 3.6e8)));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

}  // namespace

ProgressOutput progress_on_stderr(bool quiet) {
  ProgressOutput o;
  o.quiet = quiet;
  o.terminal = ::isatty(2);
  const char* no_colour = std::getenv("NO_COLOR");
  o.colour = o.terminal && !(no_colour && *no_colour);
  winsize size{};
  if (o.terminal && ::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) o.columns = size.ws_col;
  o.seconds = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  o.write = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); };
  return o;
}

Progress::Progress(std::string label, std::string unit, uint64_t total, ProgressOutput output)
    : label_(std::move(label)), unit_(std::move(unit)), total_(total), output_(std::move(output)) {
  if (!output_.quiet) began_ = shown_ = output_.seconds();
}

Progress::~Progress() {
  if (drawn_) output_.write("\r\x1b[K");
}

void Progress::advance(uint64_t count) {
  const std::lock_guard lock(mutex_);
  done_ += count;
  show();
}

void Progress::set(uint64_t done, uint64_t total) {
  const std::lock_guard lock(mutex_);
  done_ = done, total_ = total;
  show();
}

void Progress::show() {
  if (output_.quiet) return;
  const double now = output_.seconds(), elapsed = now - began_;
  if (output_.terminal ? elapsed < first_bar_s || (drawn_ && now - shown_ < bar_every_s) : now - shown_ < line_every_s) return;
  shown_ = now;
  if (!output_.terminal) return output_.write(text(elapsed) + "\n");
  drawn_ = true;
  std::string line = text(elapsed);
  if (total_ > 0 && line.size() + bar_width + 3 < output_.columns) {
    const size_t full = static_cast<size_t>(static_cast<double>(bar_width) * std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)));
    const char *on = output_.colour ? "\x1b[36m" : "", *off = output_.colour ? "\x1b[0m" : "";
    line.insert(label_.size(), fmt::format(" [{}{}{}{}]", on, std::string(full, '#'), off, std::string(bar_width - full, '-')));
  } else if (line.size() >= output_.columns) {
    line.resize(output_.columns - 1);  // a line that wraps cannot be redrawn in place
  }
  output_.write("\r" + line + "\x1b[K");
}

OnProgress show_progress(std::string label, std::string unit, bool quiet) {
  auto bar = std::make_shared<Progress>(std::move(label), std::move(unit), 0, progress_on_stderr(quiet));
  return [bar](uint64_t done, uint64_t all) { bar->set(done, all); };
}

std::string Progress::amount(double count) const {
  return unit_ == "bytes" ? show_size(static_cast<uint64_t>(count)) : fmt::format("{:.{}f} {}", count, count < 10 && count != std::floor(count) ? 1 : 0, unit_);
}

std::string Progress::text(double elapsed) const {
  const double done = static_cast<double>(done_), total = static_cast<double>(total_), rate = elapsed > 0 ? done / elapsed : 0;
  std::string out = label_;
  if (total_ > 0) out += fmt::format(" {:.0f}% {} of {}", 100 * done / total, unit_ == "bytes" ? amount(done) : fmt::format("{}", done_), amount(total));
  else out += " " + amount(done);
  out += fmt::format(", {}/s", amount(rate));
  if (total_ > done_ && rate > 0) out += fmt::format(", {} left", show_time((total - done) / rate));
  return out;
}

}  // namespace moiety
