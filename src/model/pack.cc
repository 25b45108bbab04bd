#include "model/pack.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "kernels/panel.h"

namespace moiety {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// Whole pages of [data, data + bytes) leave memory; the file gives them back if anyone reads them again.
void drop_pages(const std::byte* data, size_t bytes) {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = round_up(reinterpret_cast<uintptr_t>(data), page), end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace

// Blocks of 64 MiB, or one of its own for a larger matrix, on huge pages where the system gives them.
std::byte* Packer::allocate(size_t bytes) {
  bytes = round_up(bytes, 64);
  if (bytes > left_) {
    const size_t size = round_up(std::max(bytes, size_t{64} << 20), huge_page);
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) throw std::bad_alloc();
    ::madvise(address, size, MADV_HUGEPAGE);
    storage_.emplace_back(address, [size](void* p) { ::munmap(p, size); });
    free_ = static_cast<std::byte*>(address);
    left_ = size;
  }
  std::byte* out = free_;
  free_ += bytes;
  left_ -= bytes;
  return out;
}

void Packer::pack(Matrix& m, bool mapped) {
  if (!has_panels(m.type) || m.rows == 0 || m.cols == 0) return;
  const size_t bytes = panel_bytes(m.type, m.cols), count = panels(m.rows);
  std::byte* out = allocate(bytes * count);
  workers_.run(count, 4, [&](size_t begin, size_t end, size_t) {
    for (size_t p = begin; p < end; p++) pack_panel(m, p, {out + p * bytes, bytes});
  });
  if (mapped && m.row_bytes == bytes_of(m.type, m.cols)) drop_pages(m.data, m.row_bytes * m.rows);
  m.panels = out;
  m.data = nullptr;
  m.row_bytes = 0;
}

}  // namespace moiety
