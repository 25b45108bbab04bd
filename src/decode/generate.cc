#include "decode/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/interrupt.h"
#include "decode/stop.h"

namespace moiety {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Computes a prompt but for its last piece, from which the first token is drawn; how far that is. Pieces are as large as a second allows.
size_t compute_beginning(Session& session, uint32_t sequence, std::span<const int32_t> prompt, const GenerateOptions& options, Observer* observer) {
  size_t done = 0, size = std::min<size_t>(options.piece, 32);
  while (size && prompt.size() - done > size && !interrupted()) {
    const Clock::time_point begin = Clock::now();
    const Append append{sequence, prompt.subspan(done, size), WantLogits::none};
    session.evaluate({&append, 1}, observer);
    done += size;
    if (options.on_prompt) options.on_prompt(done);
    if (seconds_since(begin) < 0.5) size = std::min(2 * size, options.piece);
    else if (seconds_since(begin) > 1.5) size = std::max<size_t>(size / 2, 8);
  }
  return done;
}

}  // namespace

Generated generate(Session& session, uint32_t sequence, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                   const GenerateOptions& options, const std::function<void(const std::string&)>& on_text, Observer* observer) {
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

  Clock::time_point begin = Clock::now();
  const size_t last = compute_beginning(session, sequence, prompt, options, observer);
  if (interrupted()) {
    out.finish_reason = "interrupted";
    out.prompt_tokens = last;
    out.prompt_s = seconds_since(begin);
    return out;
  }
  std::vector<int32_t> next(prompt.begin() + static_cast<ptrdiff_t>(last), prompt.end());
  out.finish_reason = "length";
  while (options.max_tokens == 0 || out.tokens.size() < options.max_tokens) {
    const Append append{sequence, next, WantLogits::last};
    const std::vector<float> logits = session.evaluate({&append, 1}, observer)[0];
    if (out.tokens.empty()) {
      out.prompt_s = seconds_since(begin), begin = Clock::now();
      if (options.on_prompt) options.on_prompt(prompt.size());
    }
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
  out.generate_s = seconds_since(begin);
  return out;
}

}  // namespace moiety
