#include "text/tokenizer_export.h"

#include <algorithm>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_parts.h"

namespace moiety {
namespace {

using nlohmann::json;
enum : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

// The lists of a GGUF vocabulary; ids without a token are padding.
struct Lists {
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<int64_t> types;

  explicit Lists(size_t vocab) : tokens(vocab), scores(vocab), types(vocab, unused) {
    for (size_t i = 0; i < vocab; i++) tokens[i] = fmt::format("[PAD{}]", i);
  }
  void put(int64_t id, const std::string& token, int64_t type, double score = 0) {
    if (id < 0 || static_cast<size_t>(id) >= tokens.size()) return;  // ids that the model has no row for
    const auto i = static_cast<size_t>(id);
    tokens[i] = token, types[i] = type, scores[i] = score;
  }
  void write(const char* model, Metadata& m) const {
    m.set("tokenizer.ggml.model", std::string(model));
    m.set("tokenizer.ggml.tokens", MetaArray{8, tokens});
    if (std::string_view(model) == "llama" || std::string_view(model) == "t5") m.set("tokenizer.ggml.scores", MetaArray{6, scores});
    m.set("tokenizer.ggml.token_type", MetaArray{5, types});
  }
};

std::string placeholder(uint32_t vocab, Metadata& m, const std::string& why) {
  Lists lists(vocab);
  for (uint32_t i = 0; i < vocab; i++)
    lists.put(i, i < 256 ? fmt::format("<0x{:02X}>", i) : fmt::format("token{}", i), i < 256 ? byte : normal, -static_cast<double>(i));
  m.set("tokenizer.ggml.pre", std::string("default"));
  lists.write("llama", m);
  m.set("tokenizer.ggml.add_bos_token", false);
  return why + ": a placeholder vocabulary was written, so give token ids instead of text";
}

// Texts that show whether two tokenizers are the same. Accents are composed: llama.cpp has no Unicode forms.
std::vector<std::string> samples(const Tokenizer& tokenizer) {
  std::vector<std::string> out = {"I'll They'RE x12345 ½ a_b\n\n  c\t D\r\nÄöß 中文字 ひら don't--stop... $5 #!/bin  end ",
                                  " Hello  world,\n\tfor (int i = 0; i < 1000; i++) { y[i] *= 3.14159f; }   // done",
                                  "Привет, мир! Ça va? Γειά σου — naïve “quotes” أهلا بك नमस्ते สวัสดี 한국어 🙂👩‍👩‍👧 camelCase HTTPServer"};
  for (const AddedToken& a : tokenizer.data().added) out.push_back("a " + tokenizer.data().tokens[static_cast<size_t>(a.id)] + " b" );
  out.resize(std::min<size_t>(out.size(), 100));
  return out;
}

// The name under which llama.cpp knows how this tokenizer cuts words; empty if it does not. Spellings differ where meanings do not: what
// counts is how a text with everything in it is cut.
std::string pre_tokenizer_name(const Tokenizer& tokenizer, bool ignore_merges) {
  auto cut = [&](const std::vector<PreTokenizerStep>& steps) {
    std::string out;
    for (const std::string& text : samples(tokenizer)) {
      const Pieces pieces = pre_tokenize(steps, text, true);
      for (size_t i = 0; i < pieces.spans.size(); i++) (out += pieces[i]) += '\0';
    }
    return out;
  };
  const std::string wanted = cut(tokenizer.data().pre_tokenizer);
  for (const std::string_view name : pretokenizer_names()) {
    if (merges_are_ignored(name) != ignore_merges) continue;
    std::vector<PreTokenizerStep> steps;
    for (const std::string& regex : *pretokenizer_regexes(name)) steps.push_back(PreTokenizerStep::split(regex));
    if (cut(steps) == wanted) return std::string(name);
  }
  return "";
}

// SentencePiece ranks pairs by the score of what they make: the first merge that makes a token gives it.
std::map<std::string, double, std::less<>> scores_of(const TokenizerFile& file) {
  std::map<std::string, double, std::less<>> out;
  for (size_t rank = 0; rank < file.merges.size(); rank++) out.emplace(file.merges[rank].first + file.merges[rank].second, -static_cast<double>(rank + 1));
  return out;
}

void write_charsmap(std::string_view map, Metadata& m) {
  std::vector<uint64_t> bytes;
  for (char c : map) bytes.push_back(static_cast<unsigned char>(c));
  m.set("tokenizer.ggml.precompiled_charsmap", MetaArray{0, std::move(bytes)});
}

bool is_byte_token(std::string_view token) { return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>'); }

class Exporter {
 public:
  Exporter(const TokenizerFile& file, const Tokenizer& tokenizer, uint32_t vocab, Metadata& m)
      : file_(file), tokenizer_(tokenizer), model_(file.rest["model"]), lists_(vocab), m_(m) {}

  void run() {
    const bool byte_level = std::ranges::none_of(file_.merges, [](const auto& p) { return p.first.find(lower_one_eighth) != std::string::npos; }) &&
                            std::ranges::all_of(file_.tokens, [&](const auto& t) { return is_added(t.first) || from_byte_alphabet(t.first); });
    if (!file_.pieces.empty()) unigram();
    else if (tokenizer_.data().wordpiece) wordpiece();
    else if (byte_level) byte_level_bpe();
    else sentencepiece_bpe();
    rest();
  }

 private:
  bool is_added(const std::string& token) const {
    return std::ranges::any_of(tokenizer_.data().added, [&](const AddedToken& a) { return tokenizer_.data().tokens[static_cast<size_t>(a.id)] == token; });
  }
  std::string unknown_token() const { return model_.value("unk_token", json()).is_string() ? model_["unk_token"].get<std::string>() : ""; }

  void byte_level_bpe() {
    for (const auto& [token, id] : file_.tokens) lists_.put(id, token, normal);
    added(control);
    lists_.write("gpt2", m_);
    write_merges();
    const std::string pre = pre_tokenizer_name(tokenizer_, model_.value("ignore_merges", json()) == json(true));
    m_.set("tokenizer.ggml.pre", pre.empty() ? std::string("default") : pre);
  }

  void sentencepiece_bpe() {
    const auto scores = scores_of(file_);
    for (const auto& [token, id] : file_.tokens) {
      const auto score = scores.find(token);
      lists_.put(id, token, is_byte_token(token) ? byte : normal, score == scores.end() ? 0 : score->second);
    }
    added(unknown);
    lists_.write("llama", m_);
    write_merges();
    m_.set("tokenizer.ggml.pre", std::string("default"));
    write_spaces();
  }

  void unigram() {
    for (size_t i = 0; i < file_.pieces.size(); i++)
      lists_.put(static_cast<int64_t>(i), file_.pieces[i].first, is_byte_token(file_.pieces[i].first) ? byte : normal, static_cast<double>(file_.pieces[i].second));
    added(unknown);
    lists_.write("t5", m_);
    m_.set("tokenizer.ggml.pre", std::string("default"));
    for (const NormalizerStep& step : tokenizer_.data().normalizer)
      if (step.charsmap)
        write_charsmap(std::string_view(*step.charsmap).substr(0, step.charsmap->size() - 1), m_);  // without the zero behind it
    write_spaces();
  }

  // Beginnings of words carry U+2581 in place of the others' prefix.
  void wordpiece() {
    const std::string& prefix = tokenizer_.data().word_prefix;
    for (const auto& [token, id] : file_.tokens) {
      const bool bracketed = token.starts_with('[') && token.ends_with(']');
      lists_.put(id, bracketed ? token : token.starts_with(prefix) ? token.substr(prefix.size()) : std::string(lower_one_eighth) + token, normal);
    }
    added(control);
    lists_.write("bert", m_);
    m_.set("tokenizer.ggml.pre", std::string("default"));
    for (const NormalizerStep& step : tokenizer_.data().normalizer)
      if (step.kind == NormalizerStep::Kind::bert) {
        m_.set("tokenizer.ggml.normalizer.lowercase", step.lower);
        m_.set("tokenizer.ggml.normalizer.strip_accents", step.accents);
      }
    auto id = [&](const char* key, const std::vector<int32_t>& side) {
      if (!side.empty()) m_.set(key, static_cast<uint32_t>(side[0]));
    };
    id("tokenizer.ggml.cls_token_id", tokenizer_.data().before);
    id("tokenizer.ggml.bos_token_id", tokenizer_.data().before);
    id("tokenizer.ggml.seperator_token_id", tokenizer_.data().after);
  }

  void added(int64_t type_of_unknown) {
    for (const AddedToken& a : tokenizer_.data().added) {
      const std::string& token = tokenizer_.data().tokens[static_cast<size_t>(a.id)];
      lists_.put(a.id, token, a.special ? control : user_defined);
    }
    const auto at = std::ranges::find(lists_.tokens, unknown_token());
    int64_t id = at == lists_.tokens.end() ? -1 : at - lists_.tokens.begin();
    if (model_.value("unk_id", json()).is_number_unsigned()) id = model_["unk_id"].get<int64_t>();
    if (id < 0 || static_cast<size_t>(id) >= lists_.types.size()) return;
    lists_.types[static_cast<size_t>(id)] = type_of_unknown;
    m_.set("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(id));
  }

  void write_merges() {
    std::vector<std::string> merges;
    for (const auto& [left, right] : file_.merges) merges.push_back(left + " " + right);
    m_.set("tokenizer.ggml.merges", MetaArray{8, merges});
  }

  void write_spaces() {
    bool prefix = false, collapse = false;
    for (const NormalizerStep& s : tokenizer_.data().normalizer) {
      prefix |= s.kind == NormalizerStep::Kind::prepend;
      collapse |= s.kind == NormalizerStep::Kind::collapse_spaces || (s.kind == NormalizerStep::Kind::replace_regex && s.regex->pattern().starts_with(" {2,}"));
    }
    for (const PreTokenizerStep& s : tokenizer_.data().pre_tokenizer) {
      prefix |= s.prepend_always || s.prepend_first;
      collapse |= s.kind == PreTokenizerStep::Kind::whitespace_split;
    }
    m_.set("tokenizer.ggml.add_space_prefix", prefix);
    m_.set("tokenizer.ggml.remove_extra_whitespaces", collapse);
  }

  // What llama.cpp's keys have no place for.
  void rest() {
    json rest = file_.rest;
    std::vector<int32_t> added_only;  // added tokens that the model does not know
    std::vector<bool> known(lists_.tokens.size() + 1);
    for (const auto& [token, id] : file_.tokens)
      if (id >= 0 && static_cast<size_t>(id) < known.size()) known[static_cast<size_t>(id)] = true;
    for (size_t i = 0; i < std::min(known.size(), file_.pieces.size()); i++) known[i] = true;
    for (const AddedToken& a : tokenizer_.data().added)
      if (static_cast<size_t>(a.id) < known.size() && !known[static_cast<size_t>(a.id)]) added_only.push_back(a.id);
    rest["model"]["added_only"] = added_only;
    m_.set(kTokenizerKey, rest.dump());
  }

  const TokenizerFile& file_;
  const Tokenizer& tokenizer_;
  const json& model_;
  Lists lists_;
  Metadata& m_;
};

void export_sentencepiece(const std::string& text, const std::string& origin, const Tokenizer& tokenizer, uint32_t vocab, Metadata& m) {
  const SentencePieceModel model = parse_sentencepiece(text, origin);
  Lists lists(vocab);
  for (size_t i = 0; i < model.pieces.size(); i++)
    lists.put(static_cast<int64_t>(i), model.pieces[i], static_cast<int64_t>(model.types[i]), static_cast<double>(model.scores[i]));
  for (const AddedToken& a : tokenizer.data().added)
    if (static_cast<size_t>(a.id) >= model.pieces.size()) lists.put(a.id, a.text, a.special ? control : user_defined);
  lists.write(model.unigram ? "t5" : "llama", m);
  m.set("tokenizer.ggml.pre", std::string("default"));
  if (!model.charsmap.empty()) write_charsmap(model.charsmap, m);
  m.set("tokenizer.ggml.add_space_prefix", model.dummy_prefix);
  m.set("tokenizer.ggml.remove_extra_whitespaces", model.collapse);
  if (model.unk >= 0) m.set("tokenizer.ggml.unknown_token_id", static_cast<uint32_t>(model.unk));
}

// Ids around a text, ends, template: the same for every kind.
void export_specials(const std::filesystem::path& directory, const Tokenizer& tokenizer, Metadata& m) {
  const TokenizerData& d = tokenizer.data();
  auto id = [&](const char* key, std::optional<int32_t> value) {
    if (value && !m.find(key)) m.set(key, static_cast<uint32_t>(*value));
  };
  id("tokenizer.ggml.bos_token_id", d.bos);
  id("tokenizer.ggml.eos_token_id", d.eos);
  for (int32_t end : d.ends)
    if (end != d.eos && d.chat_template.find(tokenizer.bytes_of(end)) != std::string::npos) id("tokenizer.ggml.eot_token_id", end);
  if (const auto path = directory / "tokenizer_config.json"; std::filesystem::exists(path)) {
    const json config = parse_json(read_text_file(path), path.string());
    const json pad = config.is_object() ? config.value("pad_token", json()) : json();
    const json name = pad.is_object() ? pad.value("content", json()) : pad;
    if (name.is_string()) id("tokenizer.ggml.padding_token_id", tokenizer.id_of(name.get<std::string>()));
  }
  m.set("tokenizer.ggml.add_bos_token", !d.before.empty());
  m.set("tokenizer.ggml.add_eos_token", !d.after.empty());
  if (!d.chat_template.empty()) m.set("tokenizer.chat_template", d.chat_template);
}

// What llama.cpp will do differently, as far as the samples show it.
std::string compare(const Tokenizer& tokenizer, Metadata m) {
  m.erase(kTokenizerKey);
  const auto theirs = tokenizer_from_gguf(m);
  for (const std::string& text : samples(tokenizer))
    if (theirs->encode(text, {.add_special = false}) != tokenizer.encode(text, {.add_special = false}))
      return "llama.cpp has no form for this tokenizer and will cut some texts differently; in Moiety the ids stay the same";
  return "";
}

}  // namespace

void export_tokenizer_file(const TokenizerFile& file, const Tokenizer& tokenizer, uint32_t vocab, Metadata& m) { Exporter(file, tokenizer, vocab, m).run(); }

std::string export_tokenizer(const std::filesystem::path& directory, uint32_t vocab, Metadata& m) {
  const auto json_path = directory / "tokenizer.json", model_path = directory / "tokenizer.model";
  if (!std::filesystem::exists(json_path) && !std::filesystem::exists(model_path))
    return placeholder(vocab, m, "there is neither tokenizer.json nor tokenizer.model");
  const auto tokenizer = load_tokenizer(directory);
  if (std::filesystem::exists(json_path)) {
    const TokenizerFile file = parse_tokenizer_file(read_text_file(json_path), json_path.string());
    export_tokenizer_file(file, *tokenizer, vocab, m);
  } else {
    export_sentencepiece(read_text_file(model_path), model_path.string(), *tokenizer, vocab, m);
  }
  export_specials(directory, *tokenizer, m);
  return compare(*tokenizer, m);
}

void copy_tokenizer(const Metadata& from, Metadata& to) {
  for (const auto& [key, value] : from.entries())
    if (key.starts_with("tokenizer.") || key == kTokenizerKey) to.set(key, value);
}

}  // namespace moiety
