// tokenizer.json with its two long lists, vocabulary and merges, apart from the rest: a tree of JSON values would take a second to make.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace moiety {

struct TokenizerFile {
  nlohmann::json rest;  // without model.vocab and model.merges
  bool has_vocab = false;
  std::vector<std::pair<std::string, int64_t>> tokens;        // model.vocab of BPE and WordPiece: token, id
  std::vector<std::pair<std::string, float>> pieces;          // model.vocab of Unigram: token, score
  std::vector<std::pair<std::string, std::string>> merges;    // model.merges, written "a b" or ["a", "b"]
};

// Errors name `origin`.
TokenizerFile parse_tokenizer_file(std::string_view text, const std::string& origin);

}  // namespace moiety
