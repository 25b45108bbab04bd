// Standard input, whose waiting one Ctrl-C ends.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <string>

namespace moiety {

// What has come, at most so many bytes: how many; 0 at its end; where reading fails -1, with EINTR where Ctrl-C ended the wait.
ssize_t read_some_input(char* to, size_t most);

// All of it. Throws Interrupted.
std::string read_all_input();

}  // namespace moiety
