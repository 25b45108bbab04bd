#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "base/random.h"

namespace moiety {
namespace {

struct Candidate {
  int32_t id;
  double logit;
  double probability = 0;
};
using Candidates = std::vector<Candidate>;

bool before(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

// Candidates stand in descending order.
void softmax(Candidates& candidates, double temperature = 1) {
  double sum = 0;
  for (Candidate& c : candidates) sum += c.probability = std::exp((c.logit - candidates[0].logit) / temperature);
  for (Candidate& c : candidates) c.probability /= sum;
}

// How many of the first candidates it takes to reach the mass.
size_t reach(const Candidates& candidates, double mass) {
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); i++)
    if ((sum += candidates[i].probability) >= mass) return i + 1;
  return candidates.size();
}

void keep_typical(Candidates& candidates, double mass) {
  softmax(candidates);
  double entropy = 0;
  for (const Candidate& c : candidates)
    if (c.probability > 0) entropy -= c.probability * std::log(c.probability);
  const auto distance = [&](const Candidate& c) {
    return c.probability > 0 ? std::abs(-std::log(c.probability) - entropy) : std::numeric_limits<double>::infinity();
  };
  std::stable_sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) { return distance(a) < distance(b); });
  candidates.resize(reach(candidates, mass));
  std::sort(candidates.begin(), candidates.end(), before);
}

void keep_top_p(Candidates& candidates, double mass) {
  softmax(candidates);
  candidates.resize(reach(candidates, mass));
}

void keep_min_p(Candidates& candidates, double share) {
  const double least = candidates[0].logit + std::log(share);
  std::erase_if(candidates, [&](const Candidate& c) { return c.logit < least; });
}

void check(bool fine, const char* option, double value, const char* range) {
  if (!fine) throw UsageError("sampling: {} is {}, must be {}", option, value, range);
}

}  // namespace

Sampler::Sampler(SamplingOptions options, size_t vocab) : options_(std::move(options)), vocab_(vocab) {
  const SamplingOptions& o = options_;
  check(o.temperature >= 0 && std::isfinite(o.temperature), "temperature", o.temperature, "0 or more");
  check(o.top_p > 0 && o.top_p <= 1, "top-p", o.top_p, "above 0 and at most 1");
  check(o.min_p >= 0 && o.min_p <= 1, "min-p", o.min_p, "between 0 and 1");
  check(o.typical > 0 && o.typical <= 1, "typical", o.typical, "above 0 and at most 1");
  check(o.repeat_penalty > 0 && std::isfinite(o.repeat_penalty), "repeat-penalty", o.repeat_penalty, "above 0");
  check(std::isfinite(o.presence_penalty), "presence-penalty", o.presence_penalty, "finite");
  check(std::isfinite(o.frequency_penalty), "frequency-penalty", o.frequency_penalty, "finite");
  for (const auto& [id, bias] : o.logit_bias) {
    if (id < 0 || static_cast<size_t>(id) >= vocab) throw UsageError("sampling: logit bias of id {}, but the vocabulary has {} ids", id, vocab);
    check(bias < std::numeric_limits<float>::infinity(), "logit-bias", bias, "a number or -inf");
  }
}

void Sampler::edit(std::span<float> logits, std::span<const int32_t> history) const {
  const SamplingOptions& o = options_;
  for (const auto& [id, bias] : o.logit_bias) logits[static_cast<size_t>(id)] += bias;
  if (o.repeat_penalty == 1 && o.presence_penalty == 0 && o.frequency_penalty == 0) return;
  std::unordered_map<int32_t, int> counts;
  for (int32_t id : history.last(std::min(history.size(), o.penalty_window))) counts[id]++;
  for (const auto& [id, count] : counts) {
    if (id < 0 || static_cast<size_t>(id) >= vocab_) continue;
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / o.repeat_penalty : logit * o.repeat_penalty;
    logit -= o.presence_penalty + static_cast<float>(count) * o.frequency_penalty;
  }
}

std::vector<TokenProbability> Sampler::distribution(std::span<const float> logits, std::span<const int32_t> history) const {
  const SamplingOptions& o = options_;
  if (logits.size() != vocab_) throw Error("sampling: {} logits for a vocabulary of {}", logits.size(), vocab_);
  std::vector<float> edited(logits.begin(), logits.end());
  edit(edited, history);
  Candidates candidates;
  candidates.reserve(vocab_);
  for (size_t i = 0; i < vocab_; i++) {
    if (std::isnan(edited[i]) || edited[i] == std::numeric_limits<float>::infinity())
      throw Error("sampling: the logit of id {} is {}; check the model's weights with --check", i, edited[i]);
    if (std::isfinite(edited[i])) candidates.push_back({static_cast<int32_t>(i), edited[i]});
  }
  if (candidates.empty()) throw Error("sampling: no token is left; every logit is -inf or banned by a bias");

  const size_t keep = o.temperature == 0 ? 1 : o.top_k == 0 ? candidates.size() : std::min(o.top_k, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(keep), candidates.end(), before);
  candidates.resize(keep);
  if (o.typical < 1) keep_typical(candidates, o.typical);
  if (o.top_p < 1) keep_top_p(candidates, o.top_p);
  if (o.min_p > 0) keep_min_p(candidates, o.min_p);
  softmax(candidates, o.temperature == 0 ? 1 : o.temperature);

  std::vector<TokenProbability> out;
  out.reserve(candidates.size());
  for (const Candidate& c : candidates) out.push_back({c.id, c.probability});
  return out;
}

int32_t Sampler::next(std::span<const float> logits, std::span<const int32_t> history) const {
  const auto tokens = distribution(logits, history);
  double left = uniform(options_.seed, history.size(), RandomStream::sampling);
  for (const TokenProbability& token : tokens)
    if ((left -= token.probability) < 0) return token.id;
  return tokens.back().probability > 0 ? tokens.back().id : tokens.front().id;  // the rounding of the sum
}

}  // namespace moiety
