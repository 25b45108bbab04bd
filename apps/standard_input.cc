#include "apps/standard_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "base/interrupt.h"

namespace moiety {

ssize_t read_some_input(char* to, size_t most) {
  pollfd input{0, POLLIN, 0};  // a read goes on after a signal, this does not
  while (::poll(&input, 1, -1) < 0)
    if (errno != EINTR || interrupted()) return -1;
  return ::read(0, to, most);
}

std::string read_all_input() {
  std::string out;
  char some[1 << 16];
  for (ssize_t count; (count = read_some_input(some, sizeof some)) > 0;) out.append(some, static_cast<size_t>(count));
  throw_if_interrupted();
  return out;
}

}  // namespace moiety
