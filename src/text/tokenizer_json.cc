// tokenizer.json, as the `tokenizers` package writes it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/tokenizer_file.h"
#include "text/tokenizer_parts.h"

namespace moiety {
namespace {

using nlohmann::json;

class Reader {
 public:
  Reader(const TokenizerFile& file, const std::string& origin) : file_(file), j_(file.rest), origin_(origin) {}

  TokenizerData read() {
    if (!j_.is_object() || !j_.contains("model") || !j_["model"].is_object()) fail("has no model");
    normalizer(j_.value("normalizer", json()));
    pre_tokenizer(j_.value("pre_tokenizer", json()));
    model();
    added();
    post_processor(j_.value("post_processor", json()));
    decoder(j_.value("decoder", json()));
    for (const std::vector<int32_t>* side : {&d_.before, &d_.after})
      for (int32_t id : *side)
        if (id < 0 || static_cast<size_t>(id) >= d_.tokens.size()) fail(fmt::format("the post-processor's token {} is outside the vocabulary", id));
    return std::move(d_);
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const { throw Error("{}: {}", origin_, reason); }

  // What `make` says is wrong with a regular expression, with the file's name.
  template <class Make>
  auto named(const Make& make) const {
    try {
      return make();
    } catch (const Error& e) {
      fail(e.what());
    }
  }

  std::string text(const json& object, const char* key, const char* otherwise = nullptr) const {
    if (object.is_object() && object.contains(key) && object[key].is_string()) return object[key].get<std::string>();
    if (otherwise) return otherwise;
    fail(std::string("key ") + key + " is missing or no text");
  }
  bool flag(const json& object, const char* key, bool otherwise) const {
    return object.contains(key) && object[key].is_boolean() ? object[key].get<bool>() : otherwise;
  }
  const json& list(const json& object, const char* key) const {
    if (!object.contains(key) || !object[key].is_array()) fail(std::string("key ") + key + " is missing or no list");
    return object[key];
  }

  void normalizer(const json& n, int depth = 0) {
    if (n.is_null()) return;
    if (depth > 8) fail("normalizers nest too deeply");
    using Kind = NormalizerStep::Kind;
    const std::string type = text(n, "type");
    NormalizerStep s{};
    if (type == "Sequence") {
      for (const json& part : list(n, "normalizers")) normalizer(part, depth + 1);
      return;
    }
    if (type == "NFC") s.kind = Kind::nfc;
    else if (type == "NFD") s.kind = Kind::nfd;
    else if (type == "NFKC") s.kind = Kind::nfkc;
    else if (type == "NFKD") s.kind = Kind::nfkd;
    else if (type == "Lowercase") s.kind = Kind::lowercase;
    else if (type == "StripAccents") s.kind = Kind::strip_accents;
    else if (type == "Prepend") s.kind = Kind::prepend, s.to = text(n, "prepend");
    else if (type == "Strip") s.kind = Kind::strip, s.left = flag(n, "strip_left", true), s.right = flag(n, "strip_right", true);
    else if (type == "Replace") {
      s.to = text(n, "content");
      const json& pattern = n.contains("pattern") ? n["pattern"] : n;
      if (pattern.contains("String")) s.kind = Kind::replace, s.from = text(pattern, "String");
      else s.kind = Kind::replace_regex, s.regex = named([&] { return std::make_shared<Regex>(text(pattern, "Regex")); });
    } else if (type == "BertNormalizer") {
      s.kind = Kind::bert;
      s.clean = flag(n, "clean_text", true), s.chinese = flag(n, "handle_chinese_chars", true), s.lower = flag(n, "lowercase", true);
      s.accents = flag(n, "strip_accents", s.lower);
    } else if (type == "Precompiled") {
      s.kind = Kind::charsmap;
      s.charsmap = check_charsmap(base64(text(n, "precompiled_charsmap")), origin_);
    } else if (type == "ByteLevel") {
      return;  // only a change of alphabet
    } else {
      fail("normalizer '" + type + "' is not known");
    }
    d_.normalizer.push_back(s);
  }

  std::string base64(const std::string& in) const {
    std::string out;
    uint32_t bits = 0;
    int have = 0;
    for (char c : in) {
      const std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      if (c == '=') break;
      const size_t value = digits.find(c);
      if (value == digits.npos) fail("a precompiled map that is not base64");
      bits = bits << 6 | static_cast<uint32_t>(value);
      if ((have += 6) >= 8) out += static_cast<char>(bits >> (have -= 8));
    }
    return out;
  }

  void pre_tokenizer(const json& p, int depth = 0) {
    if (p.is_null()) return;
    if (depth > 8) fail("pre-tokenizers nest too deeply");
    using Kind = PreTokenizerStep::Kind;
    const std::string type = text(p, "type");
    PreTokenizerStep s{};
    if (type == "Sequence") {
      for (const json& part : list(p, "pretokenizers")) pre_tokenizer(part, depth + 1);
      return;
    }
    if (type == "ByteLevel") {
      byte_level_ = true;
      if (flag(p, "add_prefix_space", true)) {
        s.kind = Kind::prefix_space;
        d_.pre_tokenizer.push_back(s);
      }
      if (!flag(p, "use_regex", true)) return;
      s = PreTokenizerStep::split(pretokenizer_regexes("gpt-2")->at(0));
    } else if (type == "Split") {
      const json& pattern = p.contains("pattern") ? p["pattern"] : p;
      const std::string regex = pattern.contains("String") ? escaped(text(pattern, "String")) : text(pattern, "Regex");
      const auto cuts = behavior(text(p, "behavior", "Isolated"));
      s = named([&] { return PreTokenizerStep::split(regex, cuts, flag(p, "invert", false)); });
    } else if (type == "Digits") {
      s.kind = Kind::digits, s.individual = flag(p, "individual_digits", false);
    } else if (type == "Punctuation") {
      s.kind = Kind::punctuation, s.behavior = behavior(text(p, "behavior", "Isolated"));
    } else if (type == "Whitespace") {
      s.kind = Kind::whitespace;
    } else if (type == "WhitespaceSplit") {
      s.kind = Kind::whitespace_split;
    } else if (type == "BertPreTokenizer") {
      s.kind = Kind::bert;
    } else if (type == "Metaspace") {
      s.kind = Kind::metaspace;
      s.replacement = text(p, "replacement", "\xe2\x96\x81");
      const std::string scheme = text(p, "prepend_scheme", flag(p, "add_prefix_space", true) ? "always" : "never");
      s.prepend_always = scheme == "always", s.prepend_first = scheme == "first";
      s.cut = flag(p, "split", true);
      metaspace_ = true;
    } else {
      fail("pre-tokenizer '" + type + "' is not known");
    }
    d_.pre_tokenizer.push_back(s);
  }

  static std::string escaped(const std::string& plain) {
    std::string out;
    for (char c : plain) {
      if (std::string_view(".^$*+?()[]{}|\\").find(c) != std::string_view::npos) out += '\\';
      out += c;
    }
    return out;
  }

  PreTokenizerStep::Behavior behavior(const std::string& name) const {
    using B = PreTokenizerStep::Behavior;
    if (name == "Isolated") return B::isolated;
    if (name == "Removed") return B::removed;
    if (name == "MergedWithPrevious") return B::merged_with_previous;
    if (name == "MergedWithNext") return B::merged_with_next;
    if (name == "Contiguous") return B::contiguous;
    fail("split behavior '" + name + "' is not known");
  }

  // Ids may have holes, but a file cannot ask for more room than it has tokens.
  void check_id(int64_t id) const {
    const size_t count = file_.tokens.size() + file_.pieces.size() + (j_.contains("added_tokens") ? j_["added_tokens"].size() : 0);
    if (id < 0 || static_cast<uint64_t>(id) >= 2 * count + (1 << 16)) fail(fmt::format("a token has the id {}, in a vocabulary of {}", id, count));
  }

  void model() {
    const json& m = j_["model"];
    std::string type = text(m, "type", "");
    if (type.empty()) type = !file_.merges.empty() ? "BPE" : !file_.pieces.empty() ? "Unigram" : "WordPiece";
    if (!file_.has_vocab) fail("the model has no vocab");
    if (type == "Unigram") return unigram(m);
    if (!file_.pieces.empty()) fail("the model's vocab is not an object");
    for (const auto& [token, id] : file_.tokens) {
      check_id(id);
      if (static_cast<size_t>(id) >= raw_.size()) raw_.resize(static_cast<size_t>(id) + 1);
      raw_[static_cast<size_t>(id)] = token;
    }
    if (type == "BPE") return bpe(m);
    if (type != "WordPiece") fail("model '" + type + "' is not known; BPE, Unigram and WordPiece are");
    d_.wordpiece = true;
    d_.word_prefix = text(m, "continuing_subword_prefix", "##");
    const Vocabulary vocabulary = vocabulary_of(raw_);
    const json longest = m.value("max_input_chars_per_word", json(kLongestWord));
    d_.model = make_wordpiece(vocabulary, d_.word_prefix, vocabulary.find(text(m, "unk_token", "[UNK]")),
                              longest.is_number_unsigned() ? longest.get<size_t>() : kLongestWord);
    for (const std::string& token : raw_)
      d_.tokens.push_back(token.starts_with(d_.word_prefix) ? token.substr(d_.word_prefix.size()) : " " + token);
  }

  void bpe(const json& m) {
    BpeData data;
    data.ignore_merges = flag(m, "ignore_merges", false);
    if (!text(m, "end_of_word_suffix", "").empty() || !text(m, "continuing_subword_prefix", "").empty())
      fail("BPE with word prefixes or suffixes is not known");
    data.byte_level = byte_level_;
    data.vocabulary = vocabulary_of(raw_);
    for (const auto& [left, right] : file_.merges) add_merge(data.vocabulary, left, right, data.merges);
    data.unknown.id = data.vocabulary.find(text(m, "unk_token", ""));
    data.unknown.fuse = flag(m, "fuse_unk", false);
    if (flag(m, "byte_fallback", false)) data.unknown.bytes = byte_tokens(data.vocabulary);
    if (byte_level_) {
      data.vocabulary = to_bytes(raw_);
      d_.tokens = raw_;
    } else {
      sentencepiece_tokens();
      if (d_.pre_tokenizer.empty() && words_stand_alone(data.vocabulary))
        d_.pre_tokenizer.push_back({.kind = PreTokenizerStep::Kind::word_starts, .regex = nullptr});
    }
    d_.model = make_bpe(std::move(data));
  }

  void sentencepiece_tokens() {
    d_.tokens.clear();
    for (const std::string& token : raw_) d_.tokens.push_back(sentencepiece_bytes(token));
  }

  void unigram(const json& m) {
    std::vector<float> scores;
    if (!file_.tokens.empty()) fail("the model's vocab is not a list");
    for (const auto& [token, score] : file_.pieces) raw_.push_back(token), scores.push_back(score);
    Unknown unknown;
    if (m.contains("unk_id") && m["unk_id"].is_number_unsigned()) {
      if (m["unk_id"].get<uint64_t>() >= raw_.size()) fail("unk_id is outside the vocab");
      unknown.id = m["unk_id"].get<int32_t>();
    }
    Vocabulary vocabulary = vocabulary_of(raw_);
    if (flag(m, "byte_fallback", false)) unknown.bytes = byte_tokens(vocabulary);
    sentencepiece_tokens();
    d_.model = make_unigram(vocabulary, std::move(scores), std::move(unknown));
  }

  void added() {
    if (!j_.contains("added_tokens") || !j_["added_tokens"].is_array()) return;
    for (const json& a : j_["added_tokens"]) {
      if (!a.is_object() || !a.contains("id") || !a["id"].is_number_integer()) fail("an added token has no id");
      AddedToken token;
      check_id(a["id"].get<int64_t>());
      token.id = a["id"].get<int32_t>();
      token.text = text(a, "content");
      token.special = flag(a, "special", false), token.normalized = flag(a, "normalized", !token.special);
      token.lstrip = flag(a, "lstrip", false), token.rstrip = flag(a, "rstrip", false), token.single_word = flag(a, "single_word", false);
      if (static_cast<size_t>(token.id) >= d_.tokens.size()) d_.tokens.resize(static_cast<size_t>(token.id) + 1);
      d_.tokens[static_cast<size_t>(token.id)] = token.text;
      if (ends_a_turn(token.text)) d_.ends.push_back(token.id);
      if (token.normalized) token.text = normalize(d_.normalizer, token.text);
      d_.added.push_back(std::move(token));
    }
  }

  int32_t id_of(const std::string& name) const {
    for (const AddedToken& token : d_.added)
      if (token.text == name) return token.id;
    for (size_t i = 0; i < raw_.size(); i++)
      if (raw_[i] == name) return static_cast<int32_t>(i);
    fail("the post-processor names a token '" + name + "' that is not there");
  }

  int32_t special_id(const json& id) const {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) fail("a special token of the post-processor has no id");
    return id.get<int32_t>();
  }

  void post_processor(const json& p, int depth = 0) {
    if (p.is_null()) return;
    if (depth > 8) fail("post-processors nest too deeply");
    const std::string type = text(p, "type");
    if (type == "Sequence") {
      for (const json& part : list(p, "processors")) post_processor(part, depth + 1);
    } else if (type == "TemplateProcessing") {
      bool seen = false;
      for (const json& part : list(p, "single")) {
        if (part.contains("Sequence")) seen = true;
        else if (part.contains("SpecialToken")) {
          const std::string name = text(part["SpecialToken"], "id");
          std::vector<int32_t>& side = seen ? d_.after : d_.before;
          const json ids = p.contains("special_tokens") && p["special_tokens"].contains(name) ? p["special_tokens"][name].value("ids", json::array()) : json::array();
          if (ids.empty()) side.push_back(id_of(name));
          for (const json& id : ids) {
            side.push_back(special_id(id));
          }
        }
      }
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      for (const char* key : {"cls", "sep"}) {
        const json& pair = list(p, key);
        if (pair.size() != 2) fail("the post-processor's tokens have no ids");
        (*key == 'c' ? d_.before : d_.after).push_back(special_id(pair[1]));
      }
    }
  }

  void decoder(const json& d) {
    // The space that a normaliser or Metaspace put in front goes again.
    bool prepends = false;
    for (const NormalizerStep& s : d_.normalizer) prepends |= s.kind == NormalizerStep::Kind::prepend;
    for (const PreTokenizerStep& s : d_.pre_tokenizer) prepends |= s.prepend_always || s.prepend_first;
    d_.strip_first_space = prepends && !d.is_null();
  }

  const TokenizerFile& file_;
  const json& j_;
  const std::string& origin_;
  TokenizerData d_;
  std::vector<std::string> raw_;  // tokens as the model sees them
  bool byte_level_ = false, metaspace_ = false;
};

}  // namespace

TokenizerData data_from_file(const TokenizerFile& file, const std::string& origin) { return Reader(file, origin).read(); }

std::shared_ptr<const Tokenizer> tokenizer_from_json(std::string_view text, const std::string& origin, std::string_view config_json,
                                                     std::string chat_template) {
  TokenizerData data = data_from_file(parse_tokenizer_file(text, origin), origin);
  apply_tokenizer_config(config_json, std::move(chat_template), origin, data);
  return std::make_shared<Tokenizer>(std::move(data));
}

}  // namespace moiety
