// Byte-pair encoding, by merges or by scores.
#include <algorithm>
#include <queue>

#include "text/subword.h"
#include "text/utf8.h"

namespace moiety {
namespace {

struct Symbol {
  int32_t id;
  int32_t previous, next;  // -1 at the ends
  uint32_t begin, size;    // in the piece
};

// What a pair of symbols becomes: lower order first.
struct Pair {
  float order;
  int32_t id;  // -1: the pair does not merge
};

// Few symbols: the best of all pairs, again and again.
template <class Find>
void merge_short(std::vector<Symbol>& s, const Find& find) {
  Pair pairs[64];
  for (size_t i = 0; i + 1 < s.size(); i++) pairs[i] = find(s[i], s[i + 1]);
  while (s.size() > 1) {
    size_t best = s.size();
    for (size_t i = 0; i + 1 < s.size(); i++)
      if (pairs[i].id >= 0 && (best == s.size() || pairs[i].order < pairs[best].order)) best = i;
    if (best == s.size()) break;
    s[best].id = pairs[best].id;
    s[best].size += s[best + 1].size;
    s.erase(s.begin() + static_cast<ptrdiff_t>(best) + 1);
    std::copy(pairs + best + 1, pairs + s.size(), pairs + best);
    if (best + 1 < s.size()) pairs[best] = find(s[best], s[best + 1]);
    if (best > 0) pairs[best - 1] = find(s[best - 1], s[best]);
  }
}

// Many symbols: a heap of pairs, so that a megabyte of one letter ends in time. Pairs that a merge has changed stay in the heap and are
// skipped when they come up.
template <class Find>
void merge_long(std::vector<Symbol>& symbols, const Find& find) {
  struct Candidate {
    float order;
    int32_t left, left_id, right_id, id;
    bool operator<(const Candidate& o) const { return order != o.order ? order > o.order : left > o.left; }
  };
  std::priority_queue<Candidate> queue;
  auto offer = [&](int32_t left) {
    if (left < 0 || symbols[static_cast<size_t>(left)].next < 0) return;
    const Symbol &a = symbols[static_cast<size_t>(left)], &b = symbols[static_cast<size_t>(a.next)];
    const Pair p = find(a, b);
    if (p.id >= 0) queue.push({p.order, left, a.id, b.id, p.id});
  };
  for (size_t i = 0; i < symbols.size(); i++) {
    symbols[i].previous = static_cast<int32_t>(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? static_cast<int32_t>(i) + 1 : -1;
  }
  for (size_t i = 0; i + 1 < symbols.size(); i++) offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const Candidate c = queue.top();
    queue.pop();
    Symbol& a = symbols[static_cast<size_t>(c.left)];
    if (a.size == 0 || a.id != c.left_id || a.next < 0) continue;
    Symbol& b = symbols[static_cast<size_t>(a.next)];
    if (b.id != c.right_id) continue;
    a.id = c.id;
    a.size += b.size;
    b.size = 0;
    a.next = b.next;
    if (a.next >= 0) symbols[static_cast<size_t>(a.next)].previous = c.left;
    offer(a.previous);
    offer(c.left);
  }
  std::erase_if(symbols, [](const Symbol& s) { return s.size == 0; });
}

// Merges symbols in place until no pair merges. find(left, right) -> Pair.
template <class Find>
void merge_all(std::vector<Symbol>& symbols, const Find& find) {
  if (symbols.size() <= 32) merge_short(symbols, find);
  else merge_long(symbols, find);
}

// The characters of a piece as symbols; those that are no token have id -1.
void characters(std::string_view piece, const Vocabulary& vocabulary, std::vector<Symbol>& symbols) {
  for (size_t i = 0; i < piece.size();) {
    const size_t n = utf8_step(piece.substr(i));
    symbols.push_back({vocabulary.find(piece.substr(i, n)), -1, -1, static_cast<uint32_t>(i), static_cast<uint32_t>(n)});
    i += n;
  }
}

void emit(const std::vector<Symbol>& symbols, std::string_view piece, const Unknown& unknown, std::vector<int32_t>& out) {
  bool fused = false;
  for (const Symbol& s : symbols) {
    if (s.id >= 0) {
      out.push_back(s.id);
      fused = false;
    } else if (!unknown.bytes.empty()) {
      for (uint32_t i = 0; i < s.size; i++) out.push_back(unknown.bytes[static_cast<unsigned char>(piece[s.begin + i])]);
    } else if (unknown.id >= 0 && !(fused && unknown.fuse)) {
      out.push_back(unknown.id);
      fused = true;
    }
  }
}

// Merges by their two ids: open addressing, at most half full.
class MergeTable {
 public:
  explicit MergeTable(const std::vector<Merge>& merges) {
    size_t size = 16;
    while (size < merges.size() * 2) size *= 2;
    slots_.resize(size);
    for (size_t rank = 0; rank < merges.size(); rank++) {
      Slot& slot = slots_[place(key(merges[rank].left, merges[rank].right))];
      if (slot.result >= 0) continue;  // named twice: the first counts
      slot = {key(merges[rank].left, merges[rank].right), static_cast<uint32_t>(rank), merges[rank].result};
    }
  }

  Pair find(int32_t left, int32_t right) const {
    const Slot& slot = slots_[place(key(left, right))];
    return {static_cast<float>(slot.rank), slot.result};
  }

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    uint32_t rank = 0;
    int32_t result = -1;  // -1: empty
  };
  static uint64_t key(int32_t a, int32_t b) { return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b); }
  size_t place(uint64_t k) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (k ^ k >> 29) * 0x9e3779b97f4a7c15ull >> 20 & mask;
    while (slots_[at].result >= 0 && slots_[at].key != k) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_;
};

class Bpe : public SubwordModel {
 public:
  explicit Bpe(BpeData data) : d_(std::move(data)), merges_(d_.merges) {
    d_.merges = {};
    if (d_.byte_level)
      for (int c = 0; c < 256; c++) {
        const char byte = static_cast<char>(c);
        bytes_.push_back(d_.vocabulary.find({&byte, 1}));
      }
  }

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    if (d_.ignore_merges)
      if (const int32_t whole = d_.vocabulary.find(piece); whole >= 0) return out.push_back(whole);
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    if (d_.byte_level)
      for (size_t i = 0; i < piece.size(); i++) symbols.push_back({bytes_[static_cast<unsigned char>(piece[i])], -1, -1, static_cast<uint32_t>(i), 1});
    else
      characters(piece, d_.vocabulary, symbols);
    if (!d_.unknown.bytes.empty()) split_unknown(symbols, piece);
    merge_all(symbols, [&](const Symbol& a, const Symbol& b) -> Pair {
      if (a.id < 0 || b.id < 0) return {0, -1};
      return merges_.find(a.id, b.id);
    });
    emit(symbols, piece, d_.unknown, out);
  }

 private:
  // Byte tokens take part in merges like others.
  void split_unknown(std::vector<Symbol>& symbols, std::string_view piece) const {
    std::vector<Symbol> out;
    for (const Symbol& s : symbols) {
      if (s.id >= 0) {
        out.push_back(s);
        continue;
      }
      for (uint32_t i = 0; i < s.size; i++) out.push_back({d_.unknown.bytes[static_cast<unsigned char>(piece[s.begin + i])], -1, -1, s.begin + i, 1});
    }
    symbols = std::move(out);
  }

  BpeData d_;
  MergeTable merges_;
  std::vector<int32_t> bytes_;
};

class ScoredBpe : public SubwordModel {
 public:
  ScoredBpe(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown)
      : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), unknown_(std::move(unknown)) {
    vocabulary_.each([&](std::string_view token, int32_t) { longest_ = std::max(longest_, token.size()); });
  }

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    std::vector<Symbol> symbols;
    characters(piece, vocabulary_, symbols);
    merge_all(symbols, [&](const Symbol& a, const Symbol& b) -> Pair {
      if (a.size + b.size > longest_) return {0, -1};
      const int32_t id = vocabulary_.find(piece.substr(a.begin, a.size + b.size));
      return {id < 0 ? 0 : -scores_[static_cast<size_t>(id)], id};
    });
    emit(symbols, piece, unknown_, out);
  }

 private:
  Vocabulary vocabulary_;
  std::vector<float> scores_;
  Unknown unknown_;
  size_t longest_ = 0;
};

}  // namespace

std::unique_ptr<SubwordModel> make_bpe(BpeData data) { return std::make_unique<Bpe>(std::move(data)); }

std::unique_ptr<SubwordModel> make_scored_bpe(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown) {
  return std::make_unique<ScoredBpe>(std::move(vocabulary), std::move(scores), std::move(unknown));
}

}  // namespace moiety
