#include "base/huge_pages.h"

#include <sys/mman.h>

#include <new>

namespace moiety {

std::shared_ptr<std::byte> huge_pages(size_t bytes) {
  constexpr size_t page = size_t{2} << 20;
  const size_t size = (bytes + page - 1) / page * page;
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  ::madvise(address, size, MADV_HUGEPAGE);
  return {static_cast<std::byte*>(address), [size](std::byte* p) { ::munmap(p, size); }};
}

}  // namespace moiety
