// The ids of words that came before: most words of a text do.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace moiety {

// Direct-mapped: a word has one place, and the newest keeps it. Long words have none.
class WordCache {
 public:
  WordCache() : slots_(kSlots) {}

  void clear() { slots_.assign(kSlots, {}); }

  struct Slot {
    uint8_t size = 0, count = 0;  // of bytes, of ids; size 0: empty
    char text[30];
    int32_t ids[8];
  };
  static_assert(sizeof(Slot) == 64);  // a cache line

  // The word's place, or null if it is too long.
  Slot* place(std::string_view word) {
    if (word.empty() || word.size() > sizeof(Slot::text)) return nullptr;
    return &slots_[hash(word) & (kSlots - 1)];
  }
  static bool holds(const Slot& slot, std::string_view word) { return slot.size == word.size() && std::memcmp(slot.text, word.data(), word.size()) == 0; }
  static void put(Slot& slot, std::string_view word, std::span<const int32_t> ids) {
    if (ids.size() > std::size(slot.ids)) return;
    slot.size = static_cast<uint8_t>(word.size()), slot.count = static_cast<uint8_t>(ids.size());
    std::memcpy(slot.text, word.data(), word.size());
    std::ranges::copy(ids, slot.ids);
  }

 private:
  static constexpr size_t kSlots = 1 << 15;

  static uint64_t hash(std::string_view word) {
    uint64_t h = word.size();
    for (size_t i = 0; i < word.size(); i += 8) {
      uint64_t chunk = 0;
      std::memcpy(&chunk, word.data() + i, std::min<size_t>(8, word.size() - i));
      h = (h ^ chunk) * 0x9e3779b97f4a7c15ull;
      h ^= h >> 32;
    }
    return h;
  }

  std::vector<Slot> slots_;
};

}  // namespace moiety
