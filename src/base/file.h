// Files: mapped for reading, written whole or not at all.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace moiety {

// A file mapped read-only. Moving keeps the address.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) = delete;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // For a file that stays mapped and is read again and again: pages of 2 MiB where the file system has them, read from disk as such.
  void want_huge_pages() const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Writes under a temporary name beside `path`; commit() flushes and renames. Without it nothing is left behind, also after Ctrl-C.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void pad_to(uint64_t offset);  // zeros
  uint64_t offset() const { return offset_; }
  void close();   // written to the end, under the temporary name still
  void commit();  // closes, and gives the file its name

 private:
  [[noreturn]] void fail(const char* what);
  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;
  bool committed_ = false;
  uint64_t offset_ = 0;
  std::string buffer_;
  void flush(size_t bytes);
};

std::string read_text_file(const std::filesystem::path& path);

}  // namespace moiety
