// How well a model predicts: perplexity of text, choices among answers, distance between two models.
// `progress` counts the tokens that are computed.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "engine/session.h"
#include "text/tokenizer.h"

namespace moiety {

// -log p(target) under a row of logits.
double negative_log_likelihood(std::span<const float> logits, int32_t target);

struct Perplexity {
  double perplexity = 0, stderr_ = 0, nll_per_token = 0, bits_per_byte = 0;
  size_t tokens = 0, context = 0, chunks = 0;
};

// llama.cpp's protocol: windows of `context` tokens that do not overlap, the first token replaced by BOS where the model adds one, the
// second half of each scored. The remainder is dropped. `chunks` 0: all.
Perplexity perplexity(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> ids, size_t context, size_t chunks, const OnProgress& progress = {});

struct ChoiceQuestion {
  std::string query;
  std::vector<std::string> choices;
  size_t gold = 0;
};
// Lines of {"query": text, "choices": [texts], "gold": index}; empty ones are skipped. `limit` 0: all.
std::vector<ChoiceQuestion> parse_choices(std::string_view text, const std::string& origin, size_t limit = 0);

struct ChoiceScores {
  double accuracy = 0, accuracy_norm = 0, low = 0, high = 0, chance = 0;
  size_t n = 0;
};
// Log-likelihood of each choice after the query and a space, plain and divided by the choice's bytes (the space is not counted, as in
// lm-evaluation-harness). The interval is Wilson's, of `accuracy_norm`.
ChoiceScores choose(Session& session, const Tokenizer& tokenizer, std::span<const ChoiceQuestion> questions, const OnProgress& progress = {});

struct Comparison {
  Perplexity a, b;
  double kl_mean = 0, kl_max = 0, top1_agreement = 0;  // KL(a || b), nats a token
  size_t tokens = 0;
};
Comparison compare(Session& a, Session& b, const Tokenizer& tokenizer, std::span<const int32_t> ids, size_t context, size_t chunks, const OnProgress& progress = {});

}  // namespace moiety
