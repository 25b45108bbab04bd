// What the loaders of tokenizers share.
#pragma once
#include <fmt/format.h>

#include "text/tokenizer.h"

namespace moiety {

inline constexpr std::string_view lower_one_eighth = "\xe2\x96\x81";  // U+2581, SentencePiece's space

inline constexpr size_t kLongestWord = 100;  // characters; longer ones are unknown to BERT's WordPiece

// Vocabulary of tokens as the subword model sees them.
inline Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  Vocabulary out(tokens.size());
  for (size_t i = 0; i < tokens.size(); i++)
    if (!tokens[i].empty()) out.add(tokens[i], static_cast<int32_t>(i));  // empty: an id that no token has
  return out;
}

// Ids of <0x00> … <0xFF>, or nothing if one is missing.
inline std::vector<int32_t> byte_tokens(const Vocabulary& vocabulary) {
  std::vector<int32_t> out;
  for (int b = 0; b < 256; b++) {
    out.push_back(vocabulary.find(fmt::format("<0x{:02X}>", b)));
    if (out.back() < 0) return {};
  }
  return out;
}

// A merge of two tokens; none if one of the three is not in the vocabulary, since then it can never happen.
inline void add_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right, std::vector<Merge>& merges) {
  const Merge merge{vocabulary.find(left), vocabulary.find(right), vocabulary.find(std::string(left).append(right))};
  if (merge.left >= 0 && merge.right >= 0 && merge.result >= 0) merges.push_back(merge);
}

// Byte-level tokens and their vocabulary as bytes, in place of GPT-2's visible alphabet.
inline Vocabulary to_bytes(std::vector<std::string>& tokens) {
  for (std::string& token : tokens)
    if (auto bytes = from_byte_alphabet(token)) token = std::move(*bytes);
  return vocabulary_of(tokens);
}

// True if no token goes on behind the beginning of a word: then words can be looked at one by one.
inline bool words_stand_alone(const Vocabulary& vocabulary) {
  if (!vocabulary.contains(lower_one_eighth)) return false;
  bool alone = true;
  vocabulary.each([&](std::string_view token, int32_t) {
    size_t begin = 0;
    while (token.substr(begin).starts_with(lower_one_eighth)) begin += lower_one_eighth.size();
    alone &= token.find(lower_one_eighth, begin) == std::string_view::npos;
  });
  return alone;
}

// What a SentencePiece token adds to a text: spaces for U+2581, one byte for <0xNN>.
inline std::string sentencepiece_bytes(std::string_view token) {
  if (token.size() == 6 && token.starts_with("<0x") && token.ends_with('>'))
    return std::string(1, static_cast<char>(std::strtol(std::string(token.substr(3, 2)).c_str(), nullptr, 16)));
  std::string out;
  for (size_t i = 0; i < token.size();) {
    if (token.substr(i).starts_with(lower_one_eighth)) out += ' ', i += lower_one_eighth.size();
    else out += token[i++];
  }
  return out;
}

// Names that real models give to tokens which end a turn.
inline bool ends_a_turn(std::string_view name) {
  for (std::string_view known : {"<|eot_id|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<end_of_turn>", "<|eom_id|>", "<|end_of_text|>",
                                 "<|return|>", "<|call|>", "<|user|>", "<|observation|>", "[EOS]", "<EOT>", "_<EOT>", "<|END_OF_TURN_TOKEN|>", "<|endofturn|>"})
    if (name == known) return true;
  return false;
}

struct TokenizerFile;
TokenizerData data_from_file(const TokenizerFile& file, const std::string& origin);

// Special tokens and chat template of a tokenizer_config.json (may be empty); a template of its own file goes before that.
void apply_tokenizer_config(std::string_view config_json, std::string chat_template, const std::string& origin, TokenizerData& data);

}  // namespace moiety
