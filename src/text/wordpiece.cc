// WordPiece (Wu et al. 2016, arXiv 1609.08144, as BERT has it): the longest token first, and again from where it ended.
#include "text/subword.h"
#include "text/trie.h"
#include "text/utf8.h"

namespace moiety {
namespace {

class WordPiece : public SubwordModel {
 public:
  WordPiece(const Vocabulary& vocabulary, std::string_view prefix, int32_t unknown, size_t longest_word)
      : unknown_(unknown), longest_word_(longest_word) {
    std::vector<std::pair<std::string, int32_t>> keys;
    vocabulary.each([&](std::string_view token, int32_t id) { keys.emplace_back(token, id); });
    tokens_ = Trie(std::move(keys));
    for (char c : prefix)
      if (inside_ != Trie::none) inside_ = tokens_.step(inside_, static_cast<unsigned char>(c));
  }

  void encode(std::string_view word, std::vector<int32_t>& out) const override {
    const size_t old = out.size();
    if (letters(word) > longest_word_) return give_up(out, old);
    for (size_t begin = 0; begin < word.size();) {
      size_t bytes = 0;
      int32_t id = -1;
      const uint32_t from = begin > 0 ? inside_ : Trie::root;
      if (from != Trie::none) tokens_.prefixes(word.substr(begin), [&](size_t n, int32_t found) { bytes = n, id = found; }, from);
      if (id < 0) return give_up(out, old);
      out.push_back(id);
      begin += bytes;
    }
  }

 private:
  size_t letters(std::string_view word) const {
    size_t n = 0;
    for (size_t i = 0; i < word.size(); i += utf8_step(word.substr(i))) n++;
    return n;
  }
  // A word with a part that is no token is unknown as a whole.
  void give_up(std::vector<int32_t>& out, size_t old) const {
    out.resize(old);
    if (unknown_ >= 0) out.push_back(unknown_);
  }

  int32_t unknown_;
  size_t longest_word_;
  Trie tokens_;
  uint32_t inside_ = Trie::root;  // behind the prefix that tokens inside a word have
};

}  // namespace

std::unique_ptr<SubwordModel> make_wordpiece(const Vocabulary& vocabulary, std::string_view prefix, int32_t unknown, size_t longest_word) {
  return std::make_unique<WordPiece>(vocabulary, prefix, unknown, longest_word);
}

}  // namespace moiety
