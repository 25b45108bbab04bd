#include "text/chat.h"

#include <nlohmann/json.hpp>

namespace moiety {

ChatFormat::ChatFormat(const Tokenizer& tokenizer) {
  if (!tokenizer.chat_template().empty()) template_ = Template::parse(tokenizer.chat_template(), "of the model");
  if (tokenizer.bos()) bos_ = tokenizer.bytes_of(*tokenizer.bos());
  if (tokenizer.eos()) eos_ = tokenizer.bytes_of(*tokenizer.eos());
}

std::string ChatFormat::prompt(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools) const {
  if (template_) {
    nlohmann::ordered_json variables = {{"messages", messages}, {"add_generation_prompt", true}, {"bos_token", bos_}, {"eos_token", eos_}};
    variables["tools"] = tools;
    return template_->render(variables);
  }
  std::string out = bos_;
  for (const auto& message : messages) out += message["role"].get<std::string>() + ": " + message["content"].get<std::string>() + "\n";
  return out + "assistant:";
}

}  // namespace moiety
