// tokenizer_config.json: special tokens and the chat template, beside a tokenizer.json or a SentencePiece model.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer_parts.h"

namespace moiety {
namespace {

using nlohmann::json;

// A token's text, written alone or as an object with its flags.
std::string content(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) return value["content"].get<std::string>();
  return "";
}

// One template, or several with names of which one is the default.
std::string chat_template(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;
  if (value.is_array())
    for (const json& named : value)
      if (named.is_object() && named.value("template", json()).is_string() && (out.empty() || named.value("name", json()) == "default"))
        out = named["template"].get<std::string>();
  return out;
}

// Tokens that a SentencePiece model does not have.
void add_tokens(const json& decoder, TokenizerData& data) {
  if (!decoder.is_object()) return;
  for (const auto& [number, value] : decoder.items()) {
    AddedToken token;
    token.id = std::atoi(number.c_str());
    token.text = content(value);
    const auto known = [&](const AddedToken& a) { return a.id == token.id || a.text == token.text; };
    if (token.text.empty() || token.id < 0 || std::ranges::any_of(data.added, known)) continue;
    if (static_cast<size_t>(token.id) > data.tokens.size() + decoder.size()) continue;
    auto flag = [&value = value](const char* key) { return value.is_object() && value.contains(key) && value[key].is_boolean() && value[key].get<bool>(); };
    token.special = flag("special"), token.lstrip = flag("lstrip"), token.rstrip = flag("rstrip"), token.single_word = flag("single_word");
    if (static_cast<size_t>(token.id) >= data.tokens.size()) data.tokens.resize(static_cast<size_t>(token.id) + 1);
    data.tokens[static_cast<size_t>(token.id)] = token.text;
    if (ends_a_turn(token.text)) data.ends.push_back(token.id);
    data.added.push_back(std::move(token));
  }
}

}  // namespace

void apply_tokenizer_config(std::string_view text, std::string template_text, const std::string& origin, TokenizerData& data) {
  const json config = text.empty() ? json() : parse_json(text, origin + " (tokenizer_config.json)");
  if (config.is_object()) {
    add_tokens(config.value("added_tokens_decoder", json()), data);
    auto special = [&](const char* key, std::optional<int32_t> otherwise) -> std::optional<int32_t> {
      const std::string name = content(config.value(key, json()));
      for (const AddedToken& token : data.added)
        if (!name.empty() && token.text == name) return token.id;
      return otherwise;
    };
    data.bos = special("bos_token", data.bos);
    data.eos = special("eos_token", data.eos);
    data.chat_template = chat_template(config.value("chat_template", json()));
  }
  if (!template_text.empty()) data.chat_template = std::move(template_text);
  if (data.eos && !std::ranges::count(data.ends, *data.eos)) data.ends.insert(data.ends.begin(), *data.eos);
  if (!data.bos && !data.before.empty()) data.bos = data.before[0];
}

}  // namespace moiety
