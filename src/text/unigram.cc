// Unigram segmentation.
#include <algorithm>
#include <limits>

#include "text/subword.h"
#include "text/trie.h"
#include "text/utf8.h"

namespace moiety {
namespace {

class Unigram : public SubwordModel {
 public:
  Unigram(const Vocabulary& vocabulary, std::vector<float> scores, Unknown unknown) : scores_(std::move(scores)), unknown_(std::move(unknown)) {
    float least = 0;
    std::vector<std::pair<std::string, int32_t>> keys;
    vocabulary.each([&](std::string_view token, int32_t id) {
      least = std::min(least, scores_[static_cast<size_t>(id)]);
      if (id != unknown_.id) keys.emplace_back(token, id);
    });
    tokens_ = Trie(std::move(keys));
    unknown_score_ = least - 10;  // as in SentencePiece
  }

  // Viterbi over code points: best[i] is the best segmentation of the first i bytes.
  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    std::vector<Best> best(piece.size() + 1);
    best[0].score = 0;
    for (size_t i = 0; i < piece.size();) {
      const size_t one = utf8_step(piece.substr(i));
      const double here = best[i].score;
      bool covered = false;
      tokens_.prefixes(piece.substr(i), [&](size_t n, int32_t id) {
        const double score = here + scores_[static_cast<size_t>(id)];
        if (score > best[i + n].score) best[i + n] = {score, i, id};
        covered |= n == one;
      });
      if (!covered && here + unknown_score_ > best[i + one].score) best[i + one] = {here + unknown_score_, i, -1};
      i += one;
    }
    emit(piece, best, out);
  }

 private:
  struct Best {
    double score = -std::numeric_limits<double>::infinity();
    size_t begin = 0;
    int32_t id = -1;
  };

  void emit(std::string_view piece, const std::vector<Best>& best, std::vector<int32_t>& out) const {
    std::vector<size_t> ends;
    for (size_t end = piece.size(); end > 0; end = best[end].begin) ends.push_back(end);
    bool fused = false;
    for (size_t k = ends.size(); k-- > 0;) {
      const auto [score, begin, id] = best[ends[k]];
      if (id >= 0) {
        out.push_back(id);
        fused = false;
      } else if (!unknown_.bytes.empty()) {
        for (size_t i = begin; i < ends[k]; i++) out.push_back(unknown_.bytes[static_cast<unsigned char>(piece[i])]);
      } else if (unknown_.id >= 0 && !fused) {
        out.push_back(unknown_.id);
        fused = true;
      }
    }
  }

  Trie tokens_;
  std::vector<float> scores_;
  Unknown unknown_;
  float unknown_score_;
};

}  // namespace

std::unique_ptr<SubwordModel> make_unigram(const Vocabulary& vocabulary, std::vector<float> scores, Unknown unknown) {
  return std::make_unique<Unigram>(vocabulary, std::move(scores), std::move(unknown));
}

}  // namespace moiety
