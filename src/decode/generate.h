// A continuation of a sequence, token by token, until something ends it.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "decode/sampler.h"
#include "engine/session.h"
#include "text/tokenizer.h"

namespace moiety {

struct GenerateOptions {
  SamplingOptions sampling;
  size_t max_tokens = 0;            // 0: until the context is full
  std::vector<std::string> stops;   // texts that end the continuation, not part of it
  std::vector<int32_t> end_ids;     // tokens that do; empty: none
  size_t piece = 0;                 // prompt tokens between two looks at Ctrl-C, at most; 0: all at once
  std::function<void(size_t done)> on_prompt;  // how much of the prompt is computed
};

struct Generated {
  std::string text;
  std::vector<int32_t> tokens;         // with the one that ended it, if one did
  std::string finish_reason;           // "stop", "length" or "interrupted"
  double prompt_s = 0, generate_s = 0; // prompt_s: until the first token's logits
  size_t prompt_tokens = 0;            // computed now, without what the sequence already held
};

// Appends `prompt` to the sequence and continues. `on_text` gets complete text as it comes. The last token is not computed.
Generated generate(Session& session, uint32_t sequence, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                   const GenerateOptions& options, const std::function<void(const std::string&)>& on_text, Observer* observer = nullptr);

}  // namespace moiety
