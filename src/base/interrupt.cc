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

// Ends the program by the signal itself, so that whoever waits for it sees why.
void on_end(int signal) {
  remove_unfinished_files();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  _exit(128 + signal);  // the first process of a container outlives its own signals
}

void end_on(int signal) {
  struct sigaction action {};
  sigaction(signal, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return;
  action.sa_handler = on_end;
  action.sa_flags = SA_NODEFER;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESTART;  // a write to a terminal that is slow to read loses nothing
  sigaction(SIGINT, &action, nullptr);
  for (int signal : {SIGTERM, SIGHUP}) end_on(signal);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows past the limit is a failed write, which says so
}

bool interrupted() { return presses.load(std::memory_order_relaxed) > 0; }
void clear_interrupt() { presses.store(0); }

}  // namespace moiety
