// The tokenizer in a GGUF file: keys tokenizer.ggml.*
#include <algorithm>

#include "base/error.h"
#include "formats/metadata.h"
#include "text/tokenizer_export.h"
#include "text/tokenizer_parts.h"

namespace moiety {
namespace {

enum TokenType : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

class Reader {
 public:
  explicit Reader(const Metadata& m) : m_(m) {}

  TokenizerData read() {
    model_ = m_.string(key("model")).value_or("");
    if (model_.empty() || model_ == "none" || model_ == "no_vocab") throw Error("{}: has no tokenizer; give token ids instead of text", m_.origin());
    const std::vector<std::string>* tokens = m_.strings(key("tokens"));
    if (!tokens) throw Error("{}: key {} is missing", m_.origin(), key("tokens"));
    raw_ = *tokens;
    types_ = m_.integers(key("token_type")).value_or(std::vector<int64_t>(raw_.size(), normal));
    if (types_.size() != raw_.size()) throw Error("{}: {} tokens, but {} token types", m_.origin(), raw_.size(), types_.size());
    if (model_ == "gpt2") byte_level();
    else if (model_ == "llama") sentencepiece(false);
    else if (model_ == "t5") sentencepiece(true);
    else if (model_ == "bert") wordpiece();
    else throw Error("{}: tokenizer model '{}' is not known; gpt2, llama, t5 and bert are", m_.origin(), model_);
    added();
    specials();
    if (auto t = m_.string("tokenizer.chat_template")) d_.chat_template = *t;
    return std::move(d_);
  }

 private:
  static std::string key(const char* name) { return std::string("tokenizer.ggml.") + name; }

  void byte_level() {
    BpeData data;
    data.byte_level = true;
    const std::vector<std::string>* merges = m_.strings(key("merges"));
    if (!merges) throw Error("{}: key {} is missing", m_.origin(), key("merges"));
    const Vocabulary visible = vocabulary_of(raw_);
    for (const std::string& merge : *merges) {
      const size_t space = merge.find(' ', 1);
      if (space == std::string::npos) throw Error("{}: merge '{}' is no pair", m_.origin(), merge);
      add_merge(visible, std::string_view(merge).substr(0, space), std::string_view(merge).substr(space + 1), data.merges);
    }
    for (size_t i = 0; i < raw_.size(); i++)
      if (types_[i] == normal || types_[i] == unused) raw_[i] = from_byte_alphabet(raw_[i]).value_or(raw_[i]);
    d_.tokens = raw_;
    data.vocabulary = vocabulary_of(raw_);
    const std::string pre = m_.string(key("pre")).value_or("default");
    const std::vector<std::string>* regexes = pretokenizer_regexes(pre);
    if (!regexes) throw Error("{}: pre-tokenizer '{}' is not known", m_.origin(), pre);
    data.ignore_merges = merges_are_ignored(pre);
    for (const std::string& regex : *regexes) d_.pre_tokenizer.push_back(PreTokenizerStep::split(regex));
    d_.model = make_bpe(std::move(data));
  }

  void sentencepiece(bool unigram) {
    std::vector<float> scores(raw_.size());
    if (auto list = m_.numbers(key("scores"))) {
      if (list->size() != raw_.size()) throw Error("{}: {} tokens, but {} scores", m_.origin(), raw_.size(), list->size());
      std::ranges::copy(*list, scores.begin());
    }
    if (unigram)
      if (const MetaValue* map = m_.find(key("precompiled_charsmap")))
        if (const auto* array = std::get_if<MetaArray>(map)) {
          std::string blob;
          if (const auto* bytes = std::get_if<std::vector<uint64_t>>(&array->values)) blob.assign(bytes->begin(), bytes->end());
          if (const auto* bytes = std::get_if<std::vector<int64_t>>(&array->values)) blob.assign(bytes->begin(), bytes->end());
          NormalizerStep s{};
          s.kind = NormalizerStep::Kind::charsmap;
          if (!blob.empty()) s.charsmap = check_charsmap(std::move(blob), m_.origin()), d_.normalizer.push_back(s);
        }
    NormalizerStep s{};
    if (m_.boolean(key("remove_extra_whitespaces")).value_or(false)) {
      s.kind = NormalizerStep::Kind::collapse_spaces;
      d_.normalizer.push_back(s);
    }
    // A space in front of the text and after each special token, as SentencePiece and llama.cpp have it.
    if (m_.boolean(key("add_space_prefix")).value_or(true)) {
      s.kind = NormalizerStep::Kind::prepend, s.to = " ";
      d_.normalizer.push_back(s);
      d_.strip_first_space = true;
    }
    s.kind = NormalizerStep::Kind::replace, s.from = " ", s.to = lower_one_eighth;
    d_.normalizer.push_back(s);
    // Control and unused tokens are no words of the language.
    Vocabulary vocabulary = vocabulary_of(raw_);
    Unknown none;
    none.id = special("unknown_token_id").value_or(0);
    none.bytes = byte_tokens(vocabulary);
    for (size_t i = 0; i < raw_.size(); i++)
      if (types_[i] == control || types_[i] == unknown || types_[i] == byte) vocabulary.erase(raw_[i]);
    for (const std::string& token : raw_) d_.tokens.push_back(sentencepiece_bytes(token));
    if (!unigram && words_stand_alone(vocabulary)) d_.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::word_starts, .regex = nullptr});
    d_.model = unigram ? make_unigram(vocabulary, std::move(scores), none) : make_scored_bpe(std::move(vocabulary), std::move(scores), none);
  }

  void wordpiece() {
    // Tokens that begin a word carry U+2581 in GGUF files, the others nothing.
    NormalizerStep s{};
    s.kind = NormalizerStep::Kind::bert;
    d_.normalizer.push_back(s);
    PreTokenizerStep p{};
    p.kind = PreTokenizerStep::Kind::bert;
    d_.pre_tokenizer.push_back(p);
    Vocabulary vocabulary;
    for (size_t i = 0; i < raw_.size(); i++) {
      const bool begins = raw_[i].starts_with(lower_one_eighth);
      const std::string word = begins ? raw_[i].substr(lower_one_eighth.size()) : raw_[i];
      vocabulary.add(begins || types_[i] == control || types_[i] == unknown ? word : "##" + word, static_cast<int32_t>(i));
      d_.tokens.push_back(begins ? " " + word : word);
    }
    d_.wordpiece = true;
    d_.model = make_wordpiece(vocabulary, "##", special("unknown_token_id").value_or(-1), kLongestWord);
  }

  void added() {
    for (size_t i = 0; i < raw_.size(); i++) {
      if (types_[i] != control && types_[i] != user_defined && types_[i] != unknown) continue;
      if (types_[i] == unknown && model_ == "gpt2") continue;
      AddedToken token;
      token.id = static_cast<int32_t>(i);
      token.text = raw_[i];
      token.special = types_[i] != user_defined;
      d_.tokens[i] = token.special ? raw_[i] : d_.tokens[i];
      if (ends_a_turn(token.text)) d_.ends.push_back(token.id);
      d_.added.push_back(std::move(token));
    }
  }

  std::optional<int32_t> special(const char* name) const {
    auto id = m_.integer(key(name));
    if (!id || *id < 0 || static_cast<size_t>(*id) >= raw_.size()) return {};
    return static_cast<int32_t>(*id);
  }

  void specials() {
    d_.bos = special("bos_token_id");
    d_.eos = special("eos_token_id");
    const bool bert = model_ == "bert";
    if (bert && !d_.bos) d_.bos = special("cls_token_id");
    if (m_.boolean(key("add_bos_token")).value_or(model_ == "llama" || bert) && d_.bos) d_.before.push_back(*d_.bos);
    const auto end = bert ? special("seperator_token_id") : d_.eos;
    if (m_.boolean(key("add_eos_token")).value_or(bert || model_ == "t5") && end) d_.after.push_back(*end);
    for (const char* name : {"eos_token_id", "eot_token_id", "eom_token_id"})
      if (auto id = special(name); id && !std::ranges::count(d_.ends, *id)) d_.ends.push_back(*id);
  }

  const Metadata& m_;
  std::string model_;
  std::vector<std::string> raw_;
  std::vector<int64_t> types_;
  TokenizerData d_;
};

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_gguf(const Metadata& m) {
  TokenizerData data = Reader(m).read();
  if (const auto file = exported_file(m)) {  // of a Hugging Face tokenizer: it says more
    TokenizerData exact = data_from_file(*file, m.origin());
    exact.bos = data.bos, exact.eos = data.eos, exact.ends = data.ends;
    exact.chat_template = std::move(data.chat_template);
    data = std::move(exact);
  }
  return std::make_shared<Tokenizer>(std::move(data));
}

}  // namespace moiety
