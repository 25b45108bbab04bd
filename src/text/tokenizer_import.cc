// From the keys of a GGUF file back to the files of a Hugging Face directory.
#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer_export.h"
#include "text/tokenizer_parts.h"

namespace moiety {
namespace {

using nlohmann::json;
enum : int64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct Keys {
  const Metadata& m;
  std::string model = m.string("tokenizer.ggml.model").value_or("");
  std::vector<std::string> tokens;
  std::vector<int64_t> types;
  std::vector<float> scores;

  explicit Keys(const Metadata& metadata) : m(metadata) {
    if (const auto* list = m.strings("tokenizer.ggml.tokens")) tokens = *list;
    types = m.integers("tokenizer.ggml.token_type").value_or(std::vector<int64_t>(tokens.size(), normal));
    const auto numbers = m.numbers("tokenizer.ggml.scores").value_or(std::vector<double>(tokens.size()));
    scores.assign(numbers.begin(), numbers.end());
    if (types.size() != tokens.size() || scores.size() != tokens.size())
      throw Error("{}: {} tokens, but {} types and {} scores", m.origin(), tokens.size(), types.size(), scores.size());
  }
  bool flag(const char* key, bool otherwise) const { return m.boolean(std::string("tokenizer.ggml.") + key).value_or(otherwise); }
  std::optional<size_t> id(const char* key) const {
    const auto value = m.integer(std::string("tokenizer.ggml.") + key);
    if (!value || *value < 0 || static_cast<size_t>(*value) >= tokens.size()) return {};
    return static_cast<size_t>(*value);
  }
};

// A WordPiece token as tokenizer.json has it.
std::string word_piece(const std::string& token, bool special, const std::string& prefix) {
  if (token.starts_with(lower_one_eighth)) return token.substr(lower_one_eighth.size());
  return special || (token.starts_with('[') && token.ends_with(']')) ? token : prefix + token;
}

void read_merges(const Metadata& m, TokenizerFile& file) {
  const std::vector<std::string>* merges = m.strings("tokenizer.ggml.merges");
  if (!merges) return;
  for (const std::string& merge : *merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos) throw Error("{}: merge '{}' is no pair", m.origin(), merge);
    file.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
}

// SentencePiece's scores as merges: every way to make a token out of two, best token first.
void merges_by_score(const Keys& k, TokenizerFile& file) {
  const Vocabulary vocabulary = vocabulary_of(k.tokens);
  std::vector<size_t> order(k.tokens.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return k.scores[i]; });
  for (size_t i : order) {
    if (k.types[i] != normal && k.types[i] != user_defined) continue;
    const std::string& token = k.tokens[i];
    for (size_t at = 1; at < token.size(); at++)
      if (vocabulary.contains(std::string_view(token).substr(0, at)) && vocabulary.contains(std::string_view(token).substr(at)))
        file.merges.emplace_back(token.substr(0, at), token.substr(at));
  }
}

json replace(const char* kind, const char* from, const char* to) { return {{"type", "Replace"}, {"pattern", {{kind, from}}}, {"content", to}}; }
json sequence(const char* list, json parts) { return {{"type", "Sequence"}, {list, std::move(parts)}}; }

std::string base64(const std::vector<int64_t>& bytes) {
  const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; k++) group = group << 8 | (i + k < bytes.size() ? static_cast<uint32_t>(bytes[i + k]) & 255 : 0);
    for (size_t k = 0; k < 4; k++) out += i + k > bytes.size() ? '=' : digits[group >> (18 - 6 * k) & 63];
  }
  return out;
}

json spaces_normalizer(const Keys& k) {
  json steps = json::array();
  if (const auto map = k.m.integers("tokenizer.ggml.precompiled_charsmap"); map && !map->empty())
    steps.push_back({{"type", "Precompiled"}, {"precompiled_charsmap", base64(*map)}});
  if (k.flag("remove_extra_whitespaces", false)) {
    steps.push_back(replace("Regex", "^ +| +$", ""));
    steps.push_back(replace("Regex", " {2,}", " "));
  }
  if (k.flag("add_space_prefix", true)) steps.push_back({{"type", "Prepend"}, {"prepend", lower_one_eighth}});
  steps.push_back(replace("String", " ", lower_one_eighth.data()));
  return sequence("normalizers", std::move(steps));
}

json spaces_decoder(const Keys& k) {
  json steps = {replace("String", lower_one_eighth.data(), " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (k.flag("add_space_prefix", true)) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return sequence("decoders", std::move(steps));
}

void byte_level(const Keys& k, TokenizerFile& file) {
  const std::string pre = k.m.string("tokenizer.ggml.pre").value_or("default");
  const std::vector<std::string>* regexes = pretokenizer_regexes(pre);
  if (!regexes) throw Error("{}: pre-tokenizer '{}' is not known", k.m.origin(), pre);
  json steps = json::array();
  for (const std::string& regex : *regexes) steps.push_back({{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}});
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  steps.push_back(bytes);
  file.rest["pre_tokenizer"] = sequence("pretokenizers", std::move(steps));
  file.rest["decoder"] = bytes;
  file.rest["model"] = {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", nullptr}, {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr}, {"fuse_unk", false}, {"byte_fallback", false}, {"ignore_merges", merges_are_ignored(pre)}};
  read_merges(k.m, file);
}

void sentencepiece(const Keys& k, TokenizerFile& file) {
  const auto unk = k.id("unknown_token_id");
  const bool bytes = std::ranges::count(k.types, int64_t{byte}) == 256;
  file.rest["normalizer"] = spaces_normalizer(k);
  file.rest["decoder"] = spaces_decoder(k);
  if (k.model == "t5") {
    file.rest["model"] = {{"type", "Unigram"}, {"unk_id", unk ? json(*unk) : json()}, {"byte_fallback", bytes}};
    return;
  }
  file.rest["model"] = {{"type", "BPE"}, {"dropout", nullptr}, {"unk_token", unk ? json(k.tokens[*unk]) : json()}, {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr}, {"fuse_unk", true}, {"byte_fallback", bytes}, {"ignore_merges", false}};
  merges_by_score(k, file);
}

void wordpiece(const Keys& k, TokenizerFile& file) {
  const auto unk = k.id("unknown_token_id");
  const bool lower = k.flag("normalizer.lowercase", true);
  file.rest["normalizer"] = {{"type", "BertNormalizer"}, {"clean_text", true}, {"handle_chinese_chars", true},
                             {"strip_accents", k.flag("normalizer.strip_accents", lower)}, {"lowercase", lower}};
  file.rest["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  file.rest["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  file.rest["model"] = {{"type", "WordPiece"}, {"unk_token", unk ? word_piece(k.tokens[*unk], true, "##") : "[UNK]"},
                        {"continuing_subword_prefix", "##"}, {"max_input_chars_per_word", kLongestWord}};
}

bool is_added(const Keys& k, size_t i) {
  return k.types[i] == control || k.types[i] == user_defined || (k.types[i] == unknown && k.model != "gpt2");
}

// BOS and EOS around a text.
json post_processor(const Tokenizer& tokenizer) {
  json single = json::array(), specials = json::object();
  auto put = [&](const std::vector<int32_t>& side) {
    for (int32_t id : side) {
      const std::string& name = tokenizer.bytes_of(id);
      single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
      specials[name] = {{"id", name}, {"ids", {id}}, {"tokens", {name}}};
    }
  };
  put(tokenizer.data().before);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  put(tokenizer.data().after);
  if (specials.empty()) return nullptr;
  const json pair = {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}};
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

// The vocabulary of the subword model; `skipped`: ids that it does not know.
void read_vocabulary(const Keys& k, const std::vector<bool>& skipped, TokenizerFile& file) {
  const json& model = file.rest["model"];
  const std::string prefix = model.value("continuing_subword_prefix", json()).is_string() ? model["continuing_subword_prefix"].get<std::string>() : "";
  file.has_vocab = true;
  for (size_t i = 0; i < k.tokens.size(); i++) {
    if (skipped[i]) continue;
    if (k.model == "t5") file.pieces.emplace_back(k.tokens[i], k.scores[i]);
    else file.tokens.emplace_back(k.model == "bert" ? word_piece(k.tokens[i], k.types[i] == control, prefix) : k.tokens[i], static_cast<int64_t>(i));
  }
}

json joined(const TokenizerFile& file) {
  json out = file.rest;
  json& model = out["model"];
  model.erase("added_only");
  if (!file.pieces.empty()) model["vocab"] = file.pieces;
  else {
    model["vocab"] = json::object();
    for (const auto& [token, id] : file.tokens) model["vocab"][token] = id;
  }
  if (model.value("type", json()) == json("BPE") || !file.merges.empty()) model["merges"] = file.merges;
  return out;
}

}  // namespace

std::optional<TokenizerFile> exported_file(const Metadata& m) {
  const auto text = m.string(kTokenizerKey);
  if (!text) return {};
  const Keys k(m);
  TokenizerFile file;
  file.rest = parse_json(*text, m.origin() + ": key " + kTokenizerKey);
  if (!file.rest.is_object() || !file.rest.value("model", json()).is_object()) throw Error("{}: key {} has no model", m.origin(), kTokenizerKey);
  std::vector<bool> skipped(k.tokens.size());
  for (size_t i = 0; i < skipped.size(); i++) skipped[i] = k.types[i] == unused;
  for (const json& id : file.rest["model"].value("added_only", json::array()))
    if (id.is_number_unsigned() && id.get<uint64_t>() < skipped.size()) skipped[id.get<size_t>()] = true;
  read_vocabulary(k, skipped, file);
  read_merges(m, file);
  return file;
}

TokenizerFile file_from_gguf(const Metadata& m) {
  const Keys k(m);
  TokenizerFile file;
  file.rest = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}, {"normalizer", nullptr}, {"pre_tokenizer", nullptr}};
  if (k.model == "gpt2") byte_level(k, file);
  else if (k.model == "bert") wordpiece(k, file);
  else sentencepiece(k, file);
  const auto tokenizer = tokenizer_from_gguf(m);
  file.rest["post_processor"] = post_processor(*tokenizer);
  json added = json::array();
  for (size_t i = 0; i < k.tokens.size(); i++)
    if (is_added(k, i))
      added.push_back({{"id", i}, {"content", k.model == "bert" ? word_piece(k.tokens[i], true, "##") : k.tokens[i]}, {"single_word", false},
                       {"lstrip", false}, {"rstrip", false}, {"normalized", false}, {"special", k.types[i] != user_defined}});
  file.rest["added_tokens"] = added;
  read_vocabulary(k, std::vector<bool>(k.tokens.size()), file);
  return file;
}

void copy_companions(const std::filesystem::path& from, const std::filesystem::path& to) {
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "generation_config.json", "chat_template.jinja"})
    if (std::filesystem::exists(from / name)) std::filesystem::copy_file(from / name, to / name);
}

std::string write_tokenizer(const Metadata& m, const std::filesystem::path& directory) {
  const std::string model = m.string("tokenizer.ggml.model").value_or("none");
  if (model == "none" || model == "no_vocab") return "the file has no tokenizer: none was written, so give token ids instead of text";
  const auto tokenizer = tokenizer_from_gguf(m);
  const std::optional<TokenizerFile> exported = exported_file(m);
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  if (tokenizer->bos()) config["bos_token"] = tokenizer->bytes_of(*tokenizer->bos());
  if (tokenizer->eos()) config["eos_token"] = tokenizer->bytes_of(*tokenizer->eos());
  if (const auto pad = m.integer("tokenizer.ggml.padding_token_id"); pad && *pad >= 0 && static_cast<size_t>(*pad) < tokenizer->size())
    config["pad_token"] = tokenizer->bytes_of(static_cast<int32_t>(*pad));
  if (!tokenizer->chat_template().empty()) config["chat_template"] = tokenizer->chat_template();
  auto write = [&](const char* name, const json& value) {
    AtomicFile out(directory / name);
    out.write(value.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
    out.commit();
  };
  write("tokenizer.json", joined(exported ? *exported : file_from_gguf(m)));
  write("tokenizer_config.json", config);
  return "";
}

}  // namespace moiety
