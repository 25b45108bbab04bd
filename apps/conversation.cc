#include "apps/conversation.h"

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"

namespace moiety {

using json = nlohmann::ordered_json;

Conversation::Conversation(const RunOptions& options, Session& session, const Tokenizer& tokenizer)
    : options_(options), session_(session), tokenizer_(tokenizer), format_(tokenizer) {
  const bool resumes = !options.session_file.empty() && std::filesystem::exists(options.session_file);
  sequence_ = resumes ? session.load(options.session_file) : session.add_sequence("", options.seed);
  messages_ = json::array();
  if (!options.system.empty()) messages_.push_back({{"role", "system"}, {"content", options.system}});
  if (!resumes || options.raw || !std::filesystem::exists(messages_file())) return;
  try {
    const json saved = parse_json(read_text_file(messages_file()), messages_file().string());
    for (const json& message : saved) (void)message.at("role").get<std::string>(), (void)message.at("content").get<std::string>();
    messages_ = saved;
  } catch (const json::exception& e) {
    throw Error("{}: is not a list of messages: {}; remove it, or give another --session", messages_file().string(), json_reason(e.what()));
  }
}

void Conversation::clear() {
  session_.truncate(sequence_, 0);
  const bool system = !messages_.empty() && messages_[0]["role"] == "system";
  messages_.erase(messages_.begin() + (system ? 1 : 0), messages_.end());
}

Generated Conversation::run(std::span<const int32_t> ids, const std::function<void(const std::string&)>& on_text, LoadCounter& load) {
  GenerateOptions generate = options_.generate;
  // In the plain form nothing but this ends an answer.
  if (options_.interactive && !format_.has_template()) generate.stops.push_back("\nuser:");
  std::optional<Progress> progress(std::in_place, "prompt", "tokens", ids.size(), progress_on_stderr(options_.quiet));
  generate.on_prompt = [&](size_t done) {
    if (done < ids.size()) progress->set(done, ids.size());
    else progress.reset();  // before the first text
  };
  return moiety::generate(session_, sequence_, tokenizer_, ids, generate, on_text, &load);
}

Generated Conversation::respond(const std::string& text, const std::function<void(const std::string&)>& on_text, LoadCounter& load) {
  const auto held = session_.ids(sequence_);
  if (text.empty()) {  // the last token once more, for its logits
    if (held.empty()) throw UsageError("the prompt is empty; give a PROMPT, -f FILE, or -i for a conversation");
    const int32_t last = held.back();
    session_.truncate(sequence_, held.size() - 1);
    return run({&last, 1}, on_text, load);
  }
  if (!templated() && !options_.interactive) return run(tokenizer_.encode(text, {.add_special = held.empty()}), on_text, load);
  const std::vector<int32_t> ids = tokenizer_.encode(format_.prompt(messages_, nullptr), {.add_special = !format_.has_template()});
  if (ids.size() >= session_.context())
    throw Error("the conversation's {} tokens fill the context of {}; give a larger --context, or begin anew", ids.size(), session_.context());
  const size_t same = session_.truncate_to_common(sequence_, std::span(ids).first(ids.size() - 1));
  return run(std::span(ids).subspan(same), on_text, load);
}

Generated Conversation::answer(const std::string& text, const std::function<void(const std::string&)>& on_text, LoadCounter& load) {
  const json before = messages_;
  try {
    const bool rest = text.empty() && !messages_.empty() && messages_.back()["role"] == "assistant";
    if (!text.empty()) messages_.push_back({{"role", "user"}, {"content", text}});
    Generated out = respond(text, on_text, load);
    if (rest) messages_.back()["content"] = messages_.back()["content"].get<std::string>() + out.text;
    else messages_.push_back({{"role", "assistant"}, {"content", out.text}});
    // The token that was drawn last belongs to the sequence, unless it ended it.
    const auto& ends = options_.generate.end_ids;
    if (!out.tokens.empty() && !std::ranges::count(ends, out.tokens.back())) {
      const Append last{sequence_, {&out.tokens.back(), 1}, WantLogits::none};
      session_.evaluate({&last, 1});
    }
    return out;
  } catch (...) {
    messages_ = before;
    throw;
  }
}

void Conversation::save() const {
  if (options_.session_file.empty()) return;
  session_.save(sequence_, options_.session_file);
  if (!templated() && !options_.interactive) return;
  AtomicFile file(messages_file());
  file.write(messages_.dump(1, ' ', false, json::error_handler_t::replace) + "\n");
  file.commit();
}

}  // namespace moiety
