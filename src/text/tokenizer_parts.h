// What the loaders of tokenizers share.
#pragma once
#include "text/tokenizer.h"

namespace moiety {

inline constexpr std::string_view lower_one_eighth = "\xe2\x96\x81";  // U+2581, SentencePiece's space

// Vocabulary of tokens as the subword model sees them.
inline Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  Vocabulary out;
  out.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); i++) out.emplace(tokens[i], static_cast<int32_t>(i));
  return out;
}

// Ids of <0x00> … <0xFF>, or nothing if one is missing.
inline std::vector<int32_t> byte_tokens(const Vocabulary& vocabulary) {
  std::vector<int32_t> out;
  for (int b = 0; b < 256; b++) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", b);
    const auto found = vocabulary.find(std::string_view(name));
    if (found == vocabulary.end()) return {};
    out.push_back(found->second);
  }
  return out;
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

}  // namespace moiety
