#include "decode/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/error.h"
#include "base/random.h"
#include "kernels/logits.h"

namespace moiety {
namespace {

struct Candidate {
  int32_t id;
  double logit;
  double probability = 0;
};
using Candidates = std::vector<Candidate>;

constexpr float lowest = std::numeric_limits<float>::lowest();  // minus infinity bans a token

bool before(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.id < b.id; }

// Gives each candidate its part of a sum, and returns that.
double weigh(Candidates& candidates, double top, double temperature) {
  double sum = 0;
  for (Candidate& c : candidates) sum += c.probability = std::exp((c.logit - top) / temperature);
  return sum;
}

// Candidates stand in descending order.
void softmax(Candidates& candidates, double temperature = 1) {
  const double sum = weigh(candidates, candidates[0].logit, temperature);
  for (Candidate& c : candidates) c.probability /= sum;
}

// How many of the first candidates it takes to reach the mass.
size_t reach(const Candidates& candidates, double mass) {
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); i++)
    if ((sum += candidates[i].probability) >= mass) return i + 1;
  return candidates.size();
}

Candidates those_from(std::span<const float> logits, float least) {
  Candidates out;
  for (int32_t id : places_from(logits, least)) out.push_back({id, logits[static_cast<size_t>(id)]});
  return out;
}

Candidates first_few(std::span<const float> logits, size_t count) {
  Candidates out = those_from(logits, std::max(reached_by(logits, count), lowest));
  count = std::min(count, out.size());
  std::partial_sort(out.begin(), out.begin() + static_cast<ptrdiff_t>(count), out.end(), before);
  out.resize(count);
  return out;
}

// The first of all tokens that reach a share of the mass, and maybe more, with their probabilities. Most texts need few, so tokens far below the top are
// only looked at where those above don't suffice.
Candidates first_of_all(std::span<const float> logits, double top, double share, double temperature) {
  const double sum = sum_of_exp(logits, static_cast<float>(top), 1 / temperature);
  for (double depth = 4 * temperature;; depth *= 1.25) {
    const double least = share < 1 ? top - depth : -std::numeric_limits<double>::infinity();
    Candidates out = those_from(logits, static_cast<float>(std::max<double>(least, lowest)));
    if (weigh(out, top, temperature) < share * sum && least > lowest) continue;
    std::sort(out.begin(), out.end(), before);
    for (Candidate& c : out) c.probability /= sum;
    return out;
  }
}

Candidates near_the_top(std::span<const float> logits, double top, double min_p) {
  Candidates out = those_from(logits, std::nextafter(static_cast<float>(top + std::log(min_p)), lowest));
  std::sort(out.begin(), out.end(), before);
  return out;
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

// The first tokens of the distribution that reach a share of it, and maybe more.
std::vector<TokenProbability> Sampler::first(std::span<const float> row, std::span<const int32_t> history, double share) const {
  const SamplingOptions& o = options_;
  if (row.size() != vocab_) throw Error("sampling: {} logits for a vocabulary of {}", row.size(), vocab_);
  std::vector<float> logits(row.begin(), row.end());
  edit(logits, history);
  const double top = largest(logits);
  if (std::isnan(top)) {
    const auto wrong = std::ranges::find_if(logits, [](float v) { return !(v < std::numeric_limits<float>::infinity()); });
    throw Error("sampling: the logit of id {} is {}; check the model's weights with --check", wrong - logits.begin(), *wrong);
  }
  if (std::isinf(top)) throw Error("sampling: no token is left; every logit is -inf or banned by a bias");

  const size_t few = o.temperature == 0 ? 1 : o.top_k;
  const double temperature = o.temperature == 0 ? 1 : o.temperature;
  const bool from_all = !few && o.typical == 1;
  Candidates candidates;
  if (from_all && o.top_p == 1 && o.min_p == 0) {
    candidates = first_of_all(logits, top, share, temperature);
  } else {
    if (few) candidates = first_few(logits, few);
    else if (!from_all) candidates = first_of_all(logits, top, 1, 1);
    else if (o.top_p < 1) candidates = first_of_all(logits, top, o.top_p, 1);
    else candidates = near_the_top(logits, top, o.min_p);
    if (o.typical < 1) keep_typical(candidates, o.typical);
    if (o.top_p < 1) {
      if (!from_all) softmax(candidates);
      candidates.resize(reach(candidates, o.top_p));
    }
    if (o.min_p > 0) keep_min_p(candidates, o.min_p);
    softmax(candidates, temperature);
  }
  std::vector<TokenProbability> out;
  out.reserve(candidates.size());
  for (const Candidate& c : candidates) out.push_back({c.id, c.probability});
  return out;
}

std::vector<TokenProbability> Sampler::distribution(std::span<const float> logits, std::span<const int32_t> history) const {
  return first(logits, history, 1);
}

int32_t Sampler::next(std::span<const float> logits, std::span<const int32_t> history) const {
  double left = uniform(options_.seed, history.size(), RandomStream::sampling);
  const auto tokens = first(logits, history, left);
  for (const TokenProbability& token : tokens)
    if ((left -= token.probability) < 0) return token.id;
  return tokens.back().probability > 0 ? tokens.back().id : tokens.front().id;  // the rounding of the sum
}

}  // namespace moiety
