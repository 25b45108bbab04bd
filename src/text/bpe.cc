// Byte-pair encoding, by merges or by scores.
#include <queue>

#include "base/error.h"
#include "text/subword.h"
#include "text/utf8.h"

namespace moiety {
namespace {

// What a pair merges into: lower order first.
struct Merge {
  float order;
  int32_t id;  // -1: the pair does not merge
};

struct Symbol {
  int32_t id;
  int32_t previous, next;  // -1 at the ends
  uint32_t begin, size;    // in the piece
};

// Merges symbols in place until no pair merges. find(left, right) -> Merge.
template <class Find>
void merge_all(std::vector<Symbol>& symbols, const Find& find) {
  struct Candidate {
    float order;
    int32_t left, left_id, right_id, id;
    bool operator<(const Candidate& o) const { return order != o.order ? order > o.order : left > o.left; }
  };
  // Short pieces: look at all pairs again; long ones: a heap, so that a megabyte of one letter ends in time.
  if (symbols.size() <= 24) {
    std::vector<Symbol>& s = symbols;
    std::vector<Merge> merges(s.size());
    for (size_t i = 0; i + 1 < s.size(); i++) merges[i] = find(s[i], s[i + 1]);
    while (s.size() > 1) {
      size_t best = s.size();
      for (size_t i = 0; i + 1 < s.size(); i++)
        if (merges[i].id >= 0 && (best == s.size() || merges[i].order < merges[best].order)) best = i;
      if (best == s.size()) break;
      s[best].id = merges[best].id;
      s[best].size += s[best + 1].size;
      s.erase(s.begin() + static_cast<ptrdiff_t>(best) + 1);
      merges.erase(merges.begin() + static_cast<ptrdiff_t>(best));
      if (best + 1 < s.size()) merges[best] = find(s[best], s[best + 1]);
      if (best > 0) merges[best - 1] = find(s[best - 1], s[best]);
    }
    return;
  }
  std::priority_queue<Candidate> queue;
  auto offer = [&](int32_t left) {
    if (left < 0 || symbols[static_cast<size_t>(left)].next < 0) return;
    const Symbol &a = symbols[static_cast<size_t>(left)], &b = symbols[static_cast<size_t>(a.next)];
    const Merge m = find(a, b);
    if (m.id >= 0) queue.push({m.order, left, a.id, b.id, m.id});
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

// The characters of a piece as symbols; those that are no token have id -1.
std::vector<Symbol> characters(std::string_view piece, const Vocabulary& vocabulary) {
  std::vector<Symbol> symbols;
  for (size_t i = 0; i < piece.size();) {
    const size_t n = utf8_step(piece.substr(i));
    const auto found = vocabulary.find(piece.substr(i, n));
    symbols.push_back({found == vocabulary.end() ? -1 : found->second, -1, -1, static_cast<uint32_t>(i), static_cast<uint32_t>(n)});
    i += n;
  }
  return symbols;
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

class Bpe : public SubwordModel {
 public:
  explicit Bpe(BpeData data) : d_(std::move(data)) {
    auto id_of = [&](const std::string& token) {
      const auto found = d_.vocabulary.find(token);
      return found == d_.vocabulary.end() ? -1 : found->second;
    };
    merges_.reserve(d_.merges.size());
    for (size_t rank = 0; rank < d_.merges.size(); rank++) {
      const auto& [left, right] = d_.merges[rank];
      const int32_t a = id_of(left), b = id_of(right), ab = id_of(left + right);
      if (a < 0 || b < 0 || ab < 0) continue;  // such a merge can never happen
      merges_.emplace(key(a, b), std::pair(static_cast<uint32_t>(rank), ab));
    }
    d_.merges.clear();
    if (d_.byte_level)
      for (int c = 0; c < 256; c++) bytes_.push_back(id_of(std::string(1, static_cast<char>(c))));
  }

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    std::string with_suffix;
    if (!d_.suffix.empty()) piece = with_suffix = std::string(piece) + d_.suffix;
    if (d_.ignore_merges)
      if (const auto whole = d_.vocabulary.find(piece); whole != d_.vocabulary.end()) return out.push_back(whole->second);
    std::vector<Symbol> symbols;
    if (d_.byte_level)
      for (size_t i = 0; i < piece.size(); i++) symbols.push_back({bytes_[static_cast<unsigned char>(piece[i])], -1, -1, static_cast<uint32_t>(i), 1});
    else
      symbols = characters(piece, d_.vocabulary);
    if (!d_.unknown.bytes.empty()) split_unknown(symbols, piece);
    merge_all(symbols, [&](const Symbol& a, const Symbol& b) -> Merge {
      if (a.id < 0 || b.id < 0) return {0, -1};
      const auto found = merges_.find(key(a.id, b.id));
      if (found == merges_.end()) return {0, -1};
      return {static_cast<float>(found->second.first), found->second.second};
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

  static uint64_t key(int32_t a, int32_t b) { return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b); }
  struct KeyHash {
    size_t operator()(uint64_t k) const { return (k ^ k >> 29) * 0x9e3779b97f4a7c15ull >> 7; }
  };

  BpeData d_;
  std::unordered_map<uint64_t, std::pair<uint32_t, int32_t>, KeyHash> merges_;
  std::vector<int32_t> bytes_;
};

class ScoredBpe : public SubwordModel {
 public:
  ScoredBpe(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown)
      : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), unknown_(std::move(unknown)) {}

  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    std::vector<Symbol> symbols = characters(piece, vocabulary_);
    merge_all(symbols, [&](const Symbol& a, const Symbol& b) -> Merge {
      const auto found = vocabulary_.find(piece.substr(a.begin, a.size + b.size));
      if (found == vocabulary_.end()) return {0, -1};
      return {-scores_[static_cast<size_t>(found->second)], found->second};
    });
    emit(symbols, piece, unknown_, out);
  }

 private:
  Vocabulary vocabulary_;
  std::vector<float> scores_;
  Unknown unknown_;
};

}  // namespace

std::unique_ptr<SubwordModel> make_bpe(BpeData data) { return std::make_unique<Bpe>(std::move(data)); }

std::unique_ptr<SubwordModel> make_scored_bpe(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown) {
  return std::make_unique<ScoredBpe>(std::move(vocabulary), std::move(scores), std::move(unknown));
}

}  // namespace moiety
