// What a SentencePiece .model file holds.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moiety {

struct SentencePieceModel {
  enum Type : uint64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };  // GGUF has the same numbers

  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<uint64_t> types;
  bool unigram = true;  // else BPE
  int32_t unk = 0, bos = 1, eos = 2;  // -1: there is none
  // Its normaliser: a map of characters, then spaces joined and dropped at the ends, one put in front, all written as U+2581.
  std::string charsmap;
  bool collapse = true, dummy_prefix = true, escape = true;
};

SentencePieceModel parse_sentencepiece(std::string_view file, const std::string& origin);

}  // namespace moiety
