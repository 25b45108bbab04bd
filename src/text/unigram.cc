// Unigram segmentation and WordPiece.
#include <algorithm>
#include <limits>

#include "text/subword.h"
#include "text/utf8.h"

namespace moiety {
namespace {

class Unigram : public SubwordModel {
 public:
  Unigram(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown)
      : vocabulary_(std::move(vocabulary)), scores_(std::move(scores)), unknown_(std::move(unknown)) {
    float least = 0;
    for (const auto& [token, id] : vocabulary_) {
      longest_ = std::max(longest_, token.size());
      least = std::min(least, scores_[static_cast<size_t>(id)]);
    }
    unknown_score_ = least - 10;
  }

  // Viterbi over code points: best[i] is the best segmentation of the first i bytes.
  void encode(std::string_view piece, std::vector<int32_t>& out) const override {
    struct Best {
      double score = -std::numeric_limits<double>::infinity();
      size_t begin = 0;
      int32_t id = -1;
    };
    std::vector<Best> best(piece.size() + 1);
    best[0].score = 0;
    for (size_t i = 0; i < piece.size();) {
      const size_t one = utf8_step(piece.substr(i));
      bool covered = false;
      for (size_t n = one; n <= std::min(longest_, piece.size() - i); n += utf8_step(piece.substr(i + n))) {
        if (const auto found = vocabulary_.find(piece.substr(i, n)); found != vocabulary_.end() && found->second != unknown_.id) {
          const double score = best[i].score + scores_[static_cast<size_t>(found->second)];
          if (score > best[i + n].score) best[i + n] = {score, i, found->second};
          covered |= n == one;
        }
        if (i + n >= piece.size()) break;
      }
      if (!covered && best[i].score + unknown_score_ > best[i + one].score) best[i + one] = {best[i].score + unknown_score_, i, -1};
      i += one;
    }
    std::vector<std::pair<size_t, size_t>> cuts;
    for (size_t end = piece.size(); end > 0; end = best[end].begin) cuts.emplace_back(best[end].begin, end);
    bool fused = false;
    for (size_t k = cuts.size(); k-- > 0;) {
      const auto [begin, end] = cuts[k];
      const int32_t id = best[end].id;
      if (id >= 0) {
        out.push_back(id);
        fused = false;
      } else if (!unknown_.bytes.empty()) {
        for (size_t i = begin; i < end; i++) out.push_back(unknown_.bytes[static_cast<unsigned char>(piece[i])]);
      } else if (unknown_.id >= 0 && !fused) {
        out.push_back(unknown_.id);
        fused = true;
      }
    }
  }

 private:
  Vocabulary vocabulary_;
  std::vector<float> scores_;
  Unknown unknown_;
  size_t longest_ = 1;
  float unknown_score_;
};

class WordPiece : public SubwordModel {
 public:
  WordPiece(Vocabulary vocabulary, std::string prefix, int32_t unknown, size_t longest_word)
      : vocabulary_(std::move(vocabulary)), prefix_(std::move(prefix)), unknown_(unknown), longest_word_(longest_word) {
    for (const auto& [token, id] : vocabulary_) longest_ = std::max(longest_, token.size());
  }

  void encode(std::string_view word, std::vector<int32_t>& out) const override {
    size_t letters = 0;
    for (size_t i = 0; i < word.size(); i += utf8_step(word.substr(i))) letters++;
    const size_t old = out.size();
    if (letters > longest_word_) return give_up(out, old);
    std::string token;
    for (size_t begin = 0; begin < word.size();) {
      size_t end = std::min(word.size(), begin + longest_);
      while (end > begin && end < word.size() && (static_cast<unsigned char>(word[end]) & 0xc0) == 0x80) end--;
      const Vocabulary::const_iterator none = vocabulary_.end();
      Vocabulary::const_iterator found = none;
      while (end > begin) {
        token = begin > 0 ? prefix_ : "";
        token += word.substr(begin, end - begin);
        if ((found = vocabulary_.find(token)) != none) break;
        do end--;
        while (end > begin && (static_cast<unsigned char>(word[end]) & 0xc0) == 0x80);
      }
      if (found == none) return give_up(out, old);
      out.push_back(found->second);
      begin = end;
    }
  }

 private:
  void give_up(std::vector<int32_t>& out, size_t old) const {
    out.resize(old);
    if (unknown_ >= 0) out.push_back(unknown_);
  }

  Vocabulary vocabulary_;
  std::string prefix_;
  int32_t unknown_;
  size_t longest_word_, longest_ = 1;
};

}  // namespace

std::unique_ptr<SubwordModel> make_unigram(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown) {
  return std::make_unique<Unigram>(std::move(vocabulary), std::move(scores), std::move(unknown));
}

std::unique_ptr<SubwordModel> make_wordpiece(Vocabulary vocabulary, std::string prefix, int32_t unknown, size_t longest_word) {
  return std::make_unique<WordPiece>(std::move(vocabulary), std::move(prefix), unknown, longest_word);
}

}  // namespace moiety
