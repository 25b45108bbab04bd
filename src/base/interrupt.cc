#include "base/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>

#include "base/unfinished.h"

namespace moiety {
namespace {

std::atomic<int> presses{0};

void on_interrupt(int) {
  if (presses.fetch_add(1) == 0) return;
  remove_unfinished_files();
  _exit(130);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows past the limit is a failed write, which says so
}

bool interrupted() { return presses.load(std::memory_order_relaxed) > 0; }
void clear_interrupt() { presses.store(0); }

}  // namespace moiety
