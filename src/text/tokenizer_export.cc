#include "text/tokenizer_export.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "base/file.h"
#include "text/pretokenizer.h"

namespace moiety {
namespace {

using nlohmann::json;
enum : int64_t { normal = 1, control = 3, user_defined = 4, unused = 5, byte = 6 };

// The name under which llama.cpp knows these regular expressions; empty if it does not.
std::string pre_tokenizer_name(const json& file) {
  std::vector<std::string> regexes;
  auto collect = [&](const json& p, auto&& self) -> void {
    if (!p.is_object()) return;
    if (p.value("type", "") == "Sequence")
      for (const json& part : p["pretokenizers"]) self(part, self);
    if (p.value("type", "") == "Split" && p["pattern"].contains("Regex")) regexes.push_back(p["pattern"]["Regex"].get<std::string>());
    if (p.value("type", "") == "Digits" && p.value("individual_digits", false)) regexes.push_back("\\p{N}");
    if (p.value("type", "") == "ByteLevel" && p.value("use_regex", true)) regexes.push_back(pretokenizer_regexes("gpt-2")->at(0));
  };
  if (file.contains("pre_tokenizer")) collect(file["pre_tokenizer"], collect);
  // Spellings differ, meanings do not: compare by how they cut a text with everything in it.
  const std::string sample = "I'll They'RE x12345 ½ a_b\n\n  c\t D\r\nÄöß 中文字 ひら don't--stop... $5 #!/bin  end ";
  auto cut = [&](const std::vector<std::string>& list) {
    std::vector<PreTokenizerStep> steps;
    for (const std::string& regex : list) steps.push_back(PreTokenizerStep::split(regex));
    const Pieces pieces = pre_tokenize(steps, sample, true);
    return pieces.spans;
  };
  const auto wanted = cut(regexes);
  for (const char* name : {"gpt-2", "llama-bpe", "qwen2", "smollm", "deepseek-v3", "deepseek-llm", "deepseek-coder", "falcon", "gpt-4o", "tekken"})
    if (cut(*pretokenizer_regexes(name)) == wanted) return name;
  return "";
}

std::string placeholder(uint32_t vocab, Metadata& m, const std::string& why) {
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<int64_t> types;
  for (uint32_t i = 0; i < vocab; i++) {
    tokens.push_back(i < 256 ? fmt::format("<0x{:02X}>", i) : fmt::format("token{}", i));
    scores.push_back(-static_cast<double>(i));
    types.push_back(i < 256 ? byte : normal);
  }
  m.set("tokenizer.ggml.model", std::string("llama"));
  m.set("tokenizer.ggml.pre", std::string("default"));
  m.set("tokenizer.ggml.tokens", MetaArray{8, tokens});
  m.set("tokenizer.ggml.scores", MetaArray{6, scores});
  m.set("tokenizer.ggml.token_type", MetaArray{5, types});
  m.set("tokenizer.ggml.add_bos_token", false);
  return why + ": a placeholder vocabulary was written, so give token ids instead of text";
}

}  // namespace

std::string export_tokenizer(const std::filesystem::path& directory, uint32_t vocab, Metadata& m) {
  const auto path = directory / "tokenizer.json";
  if (!std::filesystem::exists(path)) return placeholder(vocab, m, "no tokenizer.json");
  const json file = json::parse(read_text_file(path), nullptr, false);
  if (file.is_discarded() || !file.contains("model") || file["model"].value("type", "") != "BPE" || file["model"].value("byte_fallback", false))
    return placeholder(vocab, m, "this kind of tokenizer is not written to GGUF yet");
  const std::string pre = pre_tokenizer_name(file);
  if (pre.empty()) return placeholder(vocab, m, "the pre-tokenizer has no name in llama.cpp");
  std::vector<std::string> tokens(vocab), merges;
  std::vector<int64_t> types(vocab, unused);
  for (uint32_t i = 0; i < vocab; i++) tokens[i] = fmt::format("[PAD{}]", i);
  auto put = [&](int64_t id, const std::string& token, int64_t type) {
    if (id >= 0 && id < vocab) tokens[static_cast<size_t>(id)] = token, types[static_cast<size_t>(id)] = type;
  };
  for (const auto& [token, id] : file["model"]["vocab"].items()) put(id.get<int64_t>(), token, normal);
  for (const json& merge : file["model"]["merges"])
    merges.push_back(merge.is_string() ? merge.get<std::string>() : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  if (file.contains("added_tokens"))
    for (const json& a : file["added_tokens"]) put(a.value("id", int64_t{-1}), a.value("content", ""), a.value("special", false) ? control : user_defined);
  m.set("tokenizer.ggml.model", std::string("gpt2"));
  m.set("tokenizer.ggml.pre", pre);
  m.set("tokenizer.ggml.tokens", MetaArray{8, tokens});
  m.set("tokenizer.ggml.token_type", MetaArray{5, types});
  m.set("tokenizer.ggml.merges", MetaArray{8, merges});
  const auto config_path = directory / "tokenizer_config.json";
  const json config = std::filesystem::exists(config_path) ? json::parse(read_text_file(config_path), nullptr, false) : json();
  auto special = [&](const char* key, const char* name) {
    if (!config.is_object() || !config.contains(key)) return;
    const std::string text = config[key].is_string() ? config[key].get<std::string>() : config[key].is_object() ? config[key].value("content", "") : "";
    if (const auto at = std::ranges::find(tokens, text); !text.empty() && at != tokens.end())
      m.set(name, static_cast<uint32_t>(at - tokens.begin()));
  };
  special("bos_token", "tokenizer.ggml.bos_token_id");
  special("eos_token", "tokenizer.ggml.eos_token_id");
  special("pad_token", "tokenizer.ggml.padding_token_id");
  if (config.is_object() && config.contains("add_bos_token") && config["add_bos_token"].is_boolean())
    m.set("tokenizer.ggml.add_bos_token", config["add_bos_token"].get<bool>());
  if (config.is_object() && config.contains("chat_template") && config["chat_template"].is_string())
    m.set("tokenizer.chat_template", config["chat_template"].get<std::string>());
  return "";
}

void copy_tokenizer(const Metadata& from, Metadata& to) {
  for (const auto& [key, value] : from.entries())
    if (key.starts_with("tokenizer.")) to.set(key, value);
}

}  // namespace moiety
