// A sequence that grows turn by turn: messages through the model's chat template, or plain text.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "apps/run.h"
#include "text/chat.h"

namespace moiety {

class Conversation {
 public:
  // Goes on with --session FILE where it exists. The sequence lies in FILE, the messages beside it in FILE.messages.json.
  Conversation(const RunOptions& options, Session& session, const Tokenizer& tokenizer);

  // The answer to a text; to an empty one, the rest of an answer that --tokens had cut off. What the sequence already holds is not
  // computed again. Leaves the conversation as it was where it throws.
  Generated answer(const std::string& text, const std::function<void(const std::string&)>& on_text, LoadCounter& load);
  // Whether an empty text makes sense.
  bool can_continue() const { return !session_.ids(sequence_).empty(); }
  void clear();
  void save() const;

 private:
  bool templated() const { return !options_.raw && format_.has_template(); }
  Generated run(std::span<const int32_t> ids, const std::function<void(const std::string&)>& on_text, LoadCounter& load);
  Generated respond(const std::string& text, const std::function<void(const std::string&)>& on_text, LoadCounter& load);
  std::filesystem::path messages_file() const { return options_.session_file + ".messages.json"; }

  const RunOptions& options_;
  Session& session_;
  const Tokenizer& tokenizer_;
  ChatFormat format_;
  nlohmann::ordered_json messages_;
  uint32_t sequence_;
};

}  // namespace moiety
