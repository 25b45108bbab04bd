// Temporary files and directories of writes that have not ended, so that a program that is stopped leaves none behind.
#pragma once
#include <string>

namespace moiety {

void remember_unfinished(const std::string& path);
void forget_unfinished(const std::string& path);

// Removes them all, the newest first: files, and directories with the files in them. Safe in a signal handler.
void remove_unfinished_files() noexcept;

}  // namespace moiety
