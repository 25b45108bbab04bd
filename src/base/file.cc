#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/unfinished.h"

namespace moiety {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Error("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  struct stat info{};
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    throw Error("{}: is not a regular file", path.string());
  }
  size_ = static_cast<size_t>(info.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
      ::close(descriptor);
      throw Error("{}: cannot be mapped: {}", path.string(), std::strerror(errno));
    }
    data_ = static_cast<const std::byte*>(address);
  }
  ::close(descriptor);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

void MappedFile::want_huge_pages() const {
  if (data_) ::madvise(const_cast<std::byte*>(data_), size_, MADV_HUGEPAGE);  // advice: other systems go on with small ones
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

AtomicFile::AtomicFile(std::filesystem::path path) : path_(std::move(path)) {
  temporary_ = path_;
  temporary_ += fmt::format(".tmp{}", ::getpid());
  remember_unfinished(temporary_.string());
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ >= 0) return;
  const int reason = errno;
  forget_unfinished(temporary_.string());
  throw Error("{}: cannot be written: {}", path_.string(), std::strerror(reason));
}

AtomicFile::~AtomicFile() {
  if (committed_) return;
  if (descriptor_ >= 0) ::close(descriptor_);
  ::unlink(temporary_.c_str());
  forget_unfinished(temporary_.string());
}

void AtomicFile::fail(const char* what) {
  throw Error("{}: {}: {}; nothing was left behind", path_.string(), what, std::strerror(errno));
}

void AtomicFile::flush(size_t bytes) {
  const char* data = buffer_.data();
  size_t left = bytes;
  while (left > 0) {
    const ssize_t n = ::write(descriptor_, data, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("writing failed");
    data += n;
    left -= static_cast<size_t>(n);
  }
  buffer_.erase(0, bytes);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  offset_ += bytes.size();
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr size_t piece = size_t{4} << 20;  // at multiples of itself, so that the system keeps the file in large pages
  if (buffer_.size() >= piece) flush(buffer_.size() / piece * piece);
}

void AtomicFile::pad_to(uint64_t offset) {
  while (offset_ < offset) write(std::string(std::min<uint64_t>(offset - offset_, 4096), '\0'));
}

void AtomicFile::close() {
  if (descriptor_ < 0) return;
  flush(buffer_.size());
  if (::fsync(descriptor_) != 0) fail("flushing failed");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("closing failed");
}

void AtomicFile::commit() {
  close();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("renaming failed");
  committed_ = true;
  forget_unfinished(temporary_.string());
}

std::string read_text_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

}  // namespace moiety
