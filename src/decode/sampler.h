// From a row of logits to a token.
//
// The steps and their order are llama.cpp's default ones: bias, penalties, top-k, typical, top-p, min-p, temperature. Each filter
// sees the probabilities of what the steps before it left, renormalised, before the temperature. (Hugging Face applies the
// temperature first.) Temperature 0 takes the largest logit after bias and penalties.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace moiety {

struct SamplingOptions {
  float temperature = 0.8f;  // 0: greedy
  size_t top_k = 40;         // 0: all
  float top_p = 0.95f;       // fewest tokens that reach this mass; Holtzman et al. 2019, arXiv:1904.09751. 1: all
  float min_p = 0.05f;       // at least this share of the largest probability; Nguyen et al. 2024, arXiv:2407.01082. 0: all
  float typical = 1.0f;      // mass of the tokens closest to the expected surprise; Meister et al. 2022, arXiv:2202.00666. 1: all

  // Of the tokens among the last `penalty_window` of the history, prompt included (as llama.cpp; Hugging Face takes all of it):
  float repeat_penalty = 1.0f;     // positive logits are divided by it, others multiplied; Keskar et al. 2019, arXiv:1909.05858
  float presence_penalty = 0.0f;   // subtracted once
  float frequency_penalty = 0.0f;  // subtracted for each occurrence
  size_t penalty_window = 64;      // tokens; 0: no penalties

  std::vector<std::pair<int32_t, float>> logit_bias;  // added to the id's logit; minus infinity bans it; doubled ids add up
  uint64_t seed = 0;
};

struct TokenProbability {
  int32_t id;
  double probability;
};

// Has no state: the token depends on options, logits and history only.
class Sampler {
 public:
  // `vocab` is the number of logits. UsageError where an option is out of range.
  Sampler(SamplingOptions options, size_t vocab);

  // `logits` [vocab]; `history` is the whole sequence so far, its length the position that the draw is keyed by.
  // Error where a logit is NaN or plus infinity, or every token is banned.
  int32_t next(std::span<const float> logits, std::span<const int32_t> history) const;

  // What `next` draws from: probabilities of the tokens that are left, which sum to 1, in descending order (ties: the lower id first).
  std::vector<TokenProbability> distribution(std::span<const float> logits, std::span<const int32_t> history) const;

 private:
  std::vector<TokenProbability> first(std::span<const float> logits, std::span<const int32_t> history, double share) const;
  void edit(std::span<float> logits, std::span<const int32_t> history) const;

  SamplingOptions options_;
  size_t vocab_;
};

}  // namespace moiety
