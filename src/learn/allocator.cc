#include "learn/allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/huge_pages.h"

namespace moiety {
namespace {

// Blocks by size; four sizes to a power of two, so that at most a fifth of a block is idle.
size_t block_size(size_t bytes) {
  if (bytes <= 4096) return std::bit_ceil(std::max<size_t>(bytes, 64));
  const size_t quarter = std::bit_floor(bytes - 1) / 4;
  return (bytes + quarter - 1) / quarter * quarter;
}

struct Blocks {
  std::mutex mutex;
  std::map<size_t, std::vector<void*>> free;  // by size
  std::unordered_map<void*, size_t> size_of;  // of all there are

  void* take(size_t size) {
    {
      const std::lock_guard lock(mutex);
      if (std::vector<void*>& list = free[size]; !list.empty()) {
        void* block = list.back();
        list.pop_back();
        return block;
      }
    }
    void* block = size < (size_t{2} << 20) ? std::aligned_alloc(64, size) : allocate_on_huge_pages(size);
    const std::lock_guard lock(mutex);
    if (block) size_of[block] = size;
    return block;
  }
  void give_back(void* block) {
    const std::lock_guard lock(mutex);
    free[size_of.at(block)].push_back(block);
  }
};

// Never destroyed: tensors may outlive everything else.
Blocks& blocks() {
  static Blocks* all = new Blocks;
  return *all;
}

class KeepingAllocator : public c10::Allocator {
 public:
  // Both forms: libtorch 2 took `const` away, and asks how to copy.
  c10::DataPtr allocate(size_t bytes) { return std::as_const(*this).allocate(bytes); }
  c10::DataPtr allocate(size_t bytes) const {
    if (bytes == 0) return {nullptr, nullptr, &release, c10::Device(c10::DeviceType::CPU)};
    const size_t size = block_size(bytes);
    void* memory = blocks().take(size);
    if (!memory) throw std::bad_alloc();
    return {memory, memory, &release, c10::Device(c10::DeviceType::CPU)};
  }

  // For callers that keep a bare pointer, as convolutions do: the memory is its own context.
  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }

 private:
  static void release(void* memory) {
    if (memory) blocks().give_back(memory);
  }
};

}  // namespace

void keep_tensor_memory() {
  static KeepingAllocator allocator;
  c10::SetCPUAllocator(&allocator, 1);
}

}  // namespace moiety
