// Ctrl-C: the first one asks the work to end, the second ends the program. SIGTERM and SIGHUP (who stops a service, or closes the
// terminal) end it at once, unless they are ignored, as under nohup. Neither leaves an unfinished file behind.
#pragma once

namespace moiety {

// Thrown by throw_if_interrupted; caught in apps/.
struct Interrupted {};

void catch_interrupts();
bool interrupted();
void clear_interrupt();  // chat: the answer has stopped, the program goes on
inline void throw_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

}  // namespace moiety
