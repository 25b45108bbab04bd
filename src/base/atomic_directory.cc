#include "base/atomic_directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "base/unfinished.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

void sync_directory(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

// Both stand under the other's name afterwards: in one step where the file system can, else in three.
bool exchange(const fs::path& a, const fs::path& b) {
  if (::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  fs::path aside = a;
  aside += ".old";
  return ::rename(b.c_str(), aside.c_str()) == 0 && ::rename(a.c_str(), b.c_str()) == 0 && ::rename(aside.c_str(), a.c_str()) == 0;
}

}  // namespace

AtomicDirectory::AtomicDirectory(fs::path target, std::function<bool(const std::string&)> ours) : ours_(std::move(ours)) {
  target_ = fs::absolute(target).lexically_normal();
  if (!target_.has_filename()) target_ = target_.parent_path();  // "out/"
  if (fs::is_symlink(target_)) target_ = fs::canonical(target_);
  temporary_ = target_;
  temporary_ += fmt::format(".tmp{}", ::getpid());
  std::error_code error;
  fs::create_directories(target_.parent_path(), error);
  remember_unfinished(temporary_.string());  // before it is there: a signal may come in between
  if (error || !fs::create_directory(temporary_, error)) {
    forget_unfinished(temporary_.string());
    throw Error("{}: cannot be written: {}", target_.string(), error ? error.message() : "its temporary name is taken");
  }
}

AtomicDirectory::~AtomicDirectory() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  forget_unfinished(temporary_.string());
}

void AtomicDirectory::commit() {
  sync_directory(temporary_);
  std::error_code error;
  if (!fs::exists(target_) || fs::is_empty(target_, error)) {
    fs::rename(temporary_, target_, error);
    if (error) throw Error("{}: cannot be put in place: {}; nothing was left behind", target_.string(), error.message());
    committed_ = true;
    forget_unfinished(temporary_.string());
  } else {
    forget_unfinished(temporary_.string());  // from here on it may hold what stood there before
    if (!exchange(temporary_, target_)) throw Error("{}: cannot be replaced: {}; it is as it was", target_.string(), std::strerror(errno));
    committed_ = true;
    // What the old directory held besides moves over; the rest of it goes.
    for (const auto& entry : fs::directory_iterator(temporary_)) {
      const std::string name = entry.path().filename().string();
      if (!ours_(name) && !fs::exists(target_ / name)) fs::rename(entry.path(), target_ / name);
    }
    fs::remove_all(temporary_);
  }
  sync_directory(target_.parent_path());
}

}  // namespace moiety
