// Memory for large data that is read from end to end.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace moiety {

// At least `bytes`, zeros, aligned to a page; on huge pages where the system gives them, so that few translations of addresses are needed.
std::shared_ptr<std::byte> huge_pages(size_t bytes);

void* allocate_on_huge_pages(size_t bytes);  // throws std::bad_alloc; to be freed by std::free
// For containers that grow large: what is at least a huge page big lies on huge pages.
template <class T>
struct HugePageAllocator {
  using value_type = T;
  HugePageAllocator() = default;
  template <class U>
  HugePageAllocator(const HugePageAllocator<U>&) {}
  T* allocate(size_t count) { return static_cast<T*>(allocate_on_huge_pages(count * sizeof(T))); }
  void deallocate(T* p, size_t) { std::free(p); }
  // Numbers and bytes that a container grows by are left as they are: what is asked for is about to be written.
  template <class U, class... Arguments>
  void construct(U* p, Arguments&&... arguments) {
    if constexpr (sizeof...(arguments) > 0) ::new (static_cast<void*>(p)) U(std::forward<Arguments>(arguments)...);
    else ::new (static_cast<void*>(p)) U;
  }
  bool operator==(const HugePageAllocator&) const { return true; }
};
using LargeBytes = std::vector<std::byte, HugePageAllocator<std::byte>>;
// Resizes to no less than there is, with room for a quarter more where it must move: at once, where a vector would move byte by byte.
void grow(LargeBytes& bytes, size_t size);

}  // namespace moiety
