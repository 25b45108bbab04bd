// Subword models: from a piece of text to ids of a vocabulary.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace moiety {

class SubwordModel {
 public:
  virtual ~SubwordModel() = default;
  virtual void encode(std::string_view piece, std::vector<int32_t>& out) const = 0;
};

// What to do with text that no token covers.
struct Unknown {
  int32_t id = -1;               // the unknown token; -1: such text is dropped
  bool fuse = false;             // neighbours become one
  std::vector<int32_t> bytes;    // [256] tokens <0x00> … <0xFF>; empty: no byte fallback
};

struct Merge {
  int32_t left, right, result;  // ids
};

// Byte-pair encoding by merges (Sennrich et al. 2016, arXiv 1508.07909): the pair of lowest rank is merged first, of equal ranks the
// leftmost. `byte_level`: pieces and tokens are bytes, not characters.
struct BpeData {
  Vocabulary vocabulary;
  std::vector<Merge> merges;  // in order of rank
  Unknown unknown;
  bool byte_level = false, ignore_merges = false;  // ignore_merges: a piece that is a token is that token
};
std::unique_ptr<SubwordModel> make_bpe(BpeData data);

// SentencePiece's BPE: any two neighbours that make a token may merge, the one of largest score first.
std::unique_ptr<SubwordModel> make_scored_bpe(Vocabulary vocabulary, std::vector<float> scores, Unknown unknown);

// Unigram language model (Kudo 2018, arXiv 1804.10959): the most probable segmentation.
std::unique_ptr<SubwordModel> make_unigram(const Vocabulary& vocabulary, std::vector<float> scores, Unknown unknown);

// WordPiece: the longest token first; inside a word tokens begin with `prefix`.
std::unique_ptr<SubwordModel> make_wordpiece(const Vocabulary& vocabulary, std::string_view prefix, int32_t unknown, size_t longest_word);

}  // namespace moiety
