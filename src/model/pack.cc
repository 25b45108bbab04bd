#include "model/pack.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/huge_pages.h"
#include "kernels/panel.h"

namespace moiety {
namespace {

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
    left_ = std::max(bytes, size_t{64} << 20);
    const std::shared_ptr<std::byte> block = huge_pages(left_);
    free_ = block.get();
    storage_.push_back(block);
  }
  std::byte* out = free_;
  free_ += bytes;
  left_ -= bytes;
  return out;
}

void Packer::pack(Matrix& m, bool mapped) {
  if (!has_panels(m.type) || m.rows == 0 || m.cols == 0) return;
  const std::lock_guard lock(mutex_);
  const size_t bytes = panel_bytes(m.type, m.cols), count = panels(m.rows);
  std::byte* out = allocate(packed_bytes(m.type, m.rows, m.cols));
  workers_.run(count, 4, [&](size_t begin, size_t end, size_t) {
    for (size_t p = begin; p < end; p++) pack_panel(m, p, {out + p * bytes, bytes});
  });
  if (mapped && m.row_bytes == bytes_of(m.type, m.cols)) drop_pages(m.data, m.row_bytes * m.rows);
  m.panels = out;
  m.data = nullptr;
  m.row_bytes = 0;
}

}  // namespace moiety
