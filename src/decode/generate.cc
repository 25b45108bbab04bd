#include "decode/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/interrupt.h"
#include "decode/stop.h"

namespace moiety {

Generated generate(Session& session, uint32_t sequence, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                   const GenerateOptions& options, const std::function<void(const std::string&)>& on_text, Observer* observer) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); };
  if (prompt.empty()) throw Error("an empty prompt: there is nothing to continue");
  if (session.ids(sequence).size() + prompt.size() >= session.context())
    throw Error("the prompt of {} tokens fills the context of {}; give a larger --context or a shorter prompt",
                session.ids(sequence).size() + prompt.size(), session.context());
  const Sampler sampler(options.sampling, session.model().config.vocab);
  StreamDecoder decoder(tokenizer);
  StopStrings stops(options.stops);
  Generated out;
  out.prompt_tokens = prompt.size();
  auto say = [&](const std::string& text) {
    if (text.empty()) return;
    out.text += text;
    if (on_text) on_text(text);
  };

  std::vector<int32_t> next(prompt.begin(), prompt.end());
  Clock::time_point begin = Clock::now();
  out.finish_reason = "length";
  while (options.max_tokens == 0 || out.tokens.size() < options.max_tokens) {
    const Append append{sequence, next, WantLogits::last};
    const std::vector<float> logits = session.evaluate({&append, 1}, observer)[0];
    if (out.tokens.empty()) out.prompt_s = seconds(begin), begin = Clock::now();
    const int32_t id = sampler.next(logits, session.ids(sequence));
    out.tokens.push_back(id);
    if (std::ranges::count(options.end_ids, id)) {
      out.finish_reason = "stop";
      break;
    }
    say(stops.push(decoder.push(id)));
    if (stops.stopped()) {
      out.finish_reason = "stop";
      break;
    }
    if (session.ids(sequence).size() + 1 >= session.context()) break;
    if (interrupted()) {
      out.finish_reason = "interrupted";
      break;
    }
    next = {id};
  }
  if (!stops.stopped()) {
    say(stops.push(decoder.flush()));
    say(stops.finish());
  }
  out.generate_s = seconds(begin);
  return out;
}

}  // namespace moiety
