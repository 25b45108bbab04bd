// Text to token ids and back, for every kind of tokenizer that checkpoints bring.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/normalizer.h"
#include "text/pretokenizer.h"
#include "text/subword.h"
#include "text/trie.h"

namespace moiety {

struct EncodeOptions {
  bool add_special = true;    // BOS, EOS and what else the model puts around a text
  bool parse_special = true;  // special tokens that are written in the text become their ids
};

struct AddedToken {
  int32_t id = -1;
  std::string text;
  bool special = false, normalized = false;
  bool lstrip = false, rstrip = false, single_word = false;
};

// What a loader fills in.
struct TokenizerData {
  std::vector<std::string> tokens;  // [size] the bytes of each token as they join a text; byte-level tokens as bytes
  std::vector<AddedToken> added;
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::shared_ptr<const SubwordModel> model;
  std::vector<int32_t> before, after;  // around a text
  std::vector<int32_t> ends;           // tokens that end a generation
  std::optional<int32_t> bos, eos;
  bool strip_first_space = false;  // decoding drops the space that encoding put in front
  std::string word_prefix;         // WordPiece: "##"; decoding joins these and puts spaces before the others
  bool wordpiece = false;
  std::string chat_template;
};

class Tokenizer {
 public:
  explicit Tokenizer(TokenizerData data);

  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  size_t size() const { return d_.tokens.size(); }
  const TokenizerData& data() const { return d_; }
  // What an id adds to a text; of a special token its name.
  const std::string& bytes_of(int32_t id) const;
  std::optional<int32_t> id_of(std::string_view token) const;  // of an added token, or of a token's bytes
  bool is_special(int32_t id) const { return id >= 0 && static_cast<size_t>(id) < special_.size() && special_[static_cast<size_t>(id)]; }

  std::optional<int32_t> bos() const { return d_.bos; }
  std::optional<int32_t> eos() const { return d_.eos; }
  bool adds_bos() const { return d_.bos && !d_.before.empty() && d_.before[0] == *d_.bos; }
  const std::vector<int32_t>& end_ids() const { return d_.ends; }
  const std::string& chat_template() const { return d_.chat_template; }
  bool strips_first_space() const { return d_.strip_first_space || d_.wordpiece; }

 private:
  struct Segment {
    std::string_view text;
    int32_t id;  // -1: text
  };
  std::vector<Segment> cut_added(std::string_view text, bool normalized, bool parse_special) const;
  const AddedToken* added_at(std::string_view text, size_t at, bool normalized, bool parse_special) const;
  void encode_text(std::string_view text, bool first, bool parse_special, std::vector<int32_t>& out) const;
  void encode_pieces(std::string text, bool first, std::vector<int32_t>& out) const;

  TokenizerData d_;
  uint64_t serial_;  // tells caches of words apart; an address may be used again
  std::vector<bool> special_;
  Trie added_;                    // added tokens by their text: index of the first with it
  bool any_normalized_ = false;
};

// A GGUF file (also one that holds only a vocabulary), tokenizer.json, a SentencePiece .model, or a directory that has one of the two.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path);

class Metadata;
std::shared_ptr<const Tokenizer> tokenizer_from_gguf(const Metadata& metadata);
std::shared_ptr<const Tokenizer> tokenizer_from_json(std::string_view json, const std::string& origin, std::string_view config_json = "",
                                                     std::string chat_template = "");
std::shared_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::string_view file, const std::string& origin, std::string_view config_json = "",
                                                              std::string chat_template = "");

// The bytes that GPT-2's visible alphabet stands for; nothing if a character is not of it.
std::optional<std::string> from_byte_alphabet(std::string_view visible);

// Text as it comes out of a generation, token by token, never ending inside a character.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true) : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string push(int32_t id);  // text that is complete now
  std::string flush();           // what is left, damaged characters as U+FFFD

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_, first_ = true;
  std::string pending_;
};

}  // namespace moiety
