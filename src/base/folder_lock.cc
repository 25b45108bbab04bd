#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace moiety {

FolderLock::FolderLock(const std::filesystem::path& folder, const std::string& who) : file_(open((folder / ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666)) {
  if (file_ >= 0 && flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  const int reason = errno;
  if (file_ >= 0) close(file_);
  if (reason == EWOULDBLOCK) throw Error("{}: {} is at work there; wait for its end, or name another folder", folder.string(), who);
  throw Error("{}: can't be locked: {}", folder.string(), std::strerror(reason));
}

FolderLock::~FolderLock() { close(file_); }

}  // namespace moiety
