// Tokens by name: a flat hash table, since a tokenizer is loaded more often than its vocabulary changes.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moiety {

class Vocabulary {
 public:
  explicit Vocabulary(size_t expected = 0) { resize(expected); }

  int32_t find(std::string_view token) const {
    const Entry* found = entry(token, hash(token));
    return found ? found->id : -1;
  }
  bool contains(std::string_view token) const { return find(token) >= 0; }

  // Of equal tokens the first stays.
  void add(std::string_view token, int32_t id) {
    const uint32_t h = hash(token);
    if (Entry* old = entry(token, h)) {
      if (old->id < 0) old->id = id;
      return;
    }
    entries_.push_back({bytes_.size(), static_cast<uint32_t>(token.size()), h, id});
    bytes_ += token;
    if (entries_.size() * 2 > slots_.size()) resize(entries_.size() * 2);
    else place(entries_.size() - 1);
  }

  void erase(std::string_view token) {
    if (Entry* old = entry(token, hash(token))) old->id = -1;
  }

  // Calls visit(token, id) for each token, in the order of adding.
  template <class Visit>
  void each(const Visit& visit) const {
    for (const Entry& e : entries_)
      if (e.id >= 0) visit(name(e), e.id);
  }

 private:
  struct Entry {
    size_t begin;  // in bytes_
    uint32_t size, hash;
    int32_t id;  // -1: erased
  };

  static uint32_t hash(std::string_view token) { return static_cast<uint32_t>(std::hash<std::string_view>()(token)); }
  std::string_view name(const Entry& e) const { return {bytes_.data() + e.begin, e.size}; }

  const Entry* entry(std::string_view token, uint32_t h) const {
    for (size_t slot = h & (slots_.size() - 1); slots_[slot]; slot = (slot + 1) & (slots_.size() - 1)) {
      const Entry& e = entries_[slots_[slot] - 1];
      if (e.hash == h && name(e) == token) return &e;
    }
    return nullptr;
  }
  Entry* entry(std::string_view token, uint32_t h) { return const_cast<Entry*>(std::as_const(*this).entry(token, h)); }

  void place(size_t index) {
    size_t slot = entries_[index].hash & (slots_.size() - 1);
    while (slots_[slot]) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<uint32_t>(index + 1);
  }

  void resize(size_t expected) {
    size_t size = 16;
    while (size < expected * 2) size *= 2;
    slots_.assign(size, 0);
    for (size_t i = 0; i < entries_.size(); i++) place(i);
  }

  std::string bytes_;           // all names, one after another
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // index of an entry + 1; a power of two of them, at most half full
};

}  // namespace moiety
