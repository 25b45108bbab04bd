#include "base/unfinished.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace moiety {
namespace {

// Names in a form that a signal handler may read.
struct Unfinished {
  std::atomic<bool> used{false};
  std::array<char, 4096> path{};
};
std::array<Unfinished, 16> unfinished;

// System calls only: readdir allocates.
void remove_flat_directory(const char* path) noexcept {
  const int folder = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  alignas(dirent64) std::array<std::byte, 4096> entries;
  for (long bytes; (bytes = ::syscall(SYS_getdents64, folder, entries.data(), entries.size())) > 0;)
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries.data() + at);
      ::unlinkat(folder, entry->d_name, 0);  // "." and ".." refuse
      at += entry->d_reclen;
    }
  ::close(folder);
  ::rmdir(path);
}

}  // namespace

void remember_unfinished(const std::string& path) {
  if (path.size() + 1 > unfinished[0].path.size()) return;
  for (Unfinished& slot : unfinished) {
    bool free = false;
    if (!slot.used.load() && slot.used.compare_exchange_strong(free, true)) {
      std::memcpy(slot.path.data(), path.c_str(), path.size() + 1);
      return;
    }
  }
}

void forget_unfinished(const std::string& path) {
  for (Unfinished& slot : unfinished)
    if (slot.used.load() && path == slot.path.data()) {
      slot.path[0] = 0;
      slot.used.store(false);
    }
}

void remove_unfinished_files() noexcept {
  for (Unfinished& slot : unfinished)
    if (slot.used.load() && slot.path[0] && ::unlink(slot.path.data()) != 0 && errno == EISDIR) remove_flat_directory(slot.path.data());
}

}  // namespace moiety
