// From messages to the prompt that a model was trained on.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "text/template.h"
#include "text/tokenizer.h"

namespace moiety {

class ChatFormat {
 public:
  // The tokenizer's own template; without one, a plain form: "role: content" lines.
  explicit ChatFormat(const Tokenizer& tokenizer);

  // `messages`: a list of {"role", "content", …} as the OpenAI interface has them; `tools`: a list, or null. Ends with what opens the
  // assistant's turn. Special tokens are written out: tokenize with parse_special and without add_special.
  std::string prompt(const nlohmann::ordered_json& messages, const nlohmann::ordered_json& tools) const;
  bool has_template() const { return template_.has_value(); }

 private:
  std::optional<Template> template_;
  std::string bos_, eos_;
};

}  // namespace moiety
