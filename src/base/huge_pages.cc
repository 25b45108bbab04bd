#include "base/huge_pages.h"

#include <sys/mman.h>

#include <cstring>
#include <new>
#include <utility>

namespace moiety {

namespace {
constexpr size_t page = size_t{2} << 20;
size_t whole_pages(size_t bytes) { return (bytes + page - 1) / page * page; }
}  // namespace

std::shared_ptr<std::byte> huge_pages(size_t bytes) {
  const size_t size = whole_pages(bytes);
  void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  ::madvise(address, size, MADV_HUGEPAGE);
  return {static_cast<std::byte*>(address), [size](std::byte* p) { ::munmap(p, size); }};
}

void* allocate_on_huge_pages(size_t bytes) {
  const bool large = bytes >= page;
  void* address = large ? std::aligned_alloc(page, whole_pages(bytes)) : std::malloc(bytes);
  if (!address) throw std::bad_alloc();
  if (large) ::madvise(address, whole_pages(bytes), MADV_HUGEPAGE);
  return address;
}

void grow(LargeBytes& bytes, size_t size) {
  if (size > bytes.capacity()) {
    LargeBytes larger;
    larger.reserve(size + size / 4);
    larger.resize(bytes.size());
    if (!bytes.empty()) std::memcpy(larger.data(), bytes.data(), bytes.size());
    bytes = std::move(larger);
  }
  bytes.resize(size);
}

}  // namespace moiety
