#include "base/unfinished.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <mutex>

namespace moiety {
namespace {

// A list that a signal handler may walk at any time: entries are added in front and stay for ever, a few bytes for a file.
struct Unfinished {
  const std::string path;
  Unfinished* const before;
  std::atomic<bool> there{true};
};
std::atomic<Unfinished*> newest{nullptr};
std::mutex adding;

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
  const std::lock_guard lock(adding);
  newest.store(new Unfinished{path, newest.load()});
}

void forget_unfinished(const std::string& path) {
  for (Unfinished* entry = newest.load(); entry; entry = entry->before)
    if (entry->path == path) entry->there.store(false);
}

void remove_unfinished_files() noexcept {
  for (Unfinished* entry = newest.load(); entry; entry = entry->before)
    if (entry->there.load() && ::unlink(entry->path.c_str()) != 0 && errno == EISDIR) remove_flat_directory(entry->path.c_str());
}

}  // namespace moiety
