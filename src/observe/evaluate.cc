#include "observe/evaluate.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/token_progress.h"

namespace moiety {
namespace {

double log_sum(std::span<const float> logits) {
  const float top = *std::ranges::max_element(logits);
  double sum = 0;
  for (float v : logits) sum += std::exp(static_cast<double>(v) - top);
  return top + std::log(sum);
}

}  // namespace

double negative_log_likelihood(std::span<const float> logits, int32_t target) {
  return log_sum(logits) - logits[static_cast<size_t>(target)];
}

namespace {

// What scored tokens add up to.
struct Sums {
  double nll = 0, squares = 0;
  size_t tokens = 0, bytes = 0;

  void add(std::span<const float> logits, int32_t target, const Tokenizer& tokenizer) {
    const double one = negative_log_likelihood(logits, target);
    nll += one, squares += one * one, tokens++;
    bytes += tokenizer.is_special(target) ? 0 : tokenizer.bytes_of(target).size();
  }
  Perplexity result(size_t context, size_t chunks) const {
    Perplexity out;
    out.tokens = tokens, out.context = context, out.chunks = chunks;
    const double n = static_cast<double>(tokens);
    out.nll_per_token = nll / n;
    out.perplexity = std::exp(out.nll_per_token);
    const double variance = std::max(0.0, squares / n - out.nll_per_token * out.nll_per_token);
    out.stderr_ = tokens > 1 ? std::sqrt(variance / (n - 1)) * out.perplexity : 0;
    out.bits_per_byte = bytes ? nll / std::log(2.0) / static_cast<double>(bytes) : 0;
    return out;
  }
};

size_t window_count(std::span<const int32_t> ids, size_t context, size_t chunks) {
  if (context < 4) throw UsageError("windows of {} tokens score nothing; give a --context of at least 4", context);
  const size_t windows = ids.size() / context, count = chunks ? std::min(chunks, windows) : windows;
  if (count == 0) throw Error("{} tokens do not fill a window of {}; give more text or a smaller --context", ids.size(), context);
  return count;
}

// Computes window w; `take` gets the logits of its second half, row by row, each with the token that it should have predicted.
void score(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> ids, const std::function<void(std::span<const float>, int32_t)>& take) {
  const size_t first = ids.size() / 2;
  std::vector<int32_t> window(ids.begin(), ids.end());
  if (tokenizer.adds_bos()) window[0] = *tokenizer.bos();
  const uint32_t s = session.add_sequence();
  const Append head{s, std::span(window).first(first), WantLogits::none}, tail{s, std::span(window).subspan(first), WantLogits::all};
  session.declare_length(s, static_cast<uint32_t>(window.size()));
  session.evaluate({&head, 1});
  size_t next = first + 1;
  session.evaluate({&tail, 1}, nullptr, [&](size_t, std::span<const float> logits) {
    if (next < window.size()) take(logits, window[next++]);  // the last position predicts nothing
  });
  session.remove_sequence(s);
}

}  // namespace

Perplexity perplexity(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> ids, size_t context, size_t chunks, const OnProgress& progress) {
  const size_t count = window_count(ids, context, chunks);
  const TokenProgress computed({&session}, count * context, progress);
  Sums sums;
  for (size_t w = 0; w < count; w++)
    score(session, tokenizer, ids.subspan(w * context, context), [&](std::span<const float> logits, int32_t target) { sums.add(logits, target, tokenizer); });
  return sums.result(context, count);
}

namespace {

// A choice behind its query, as ids; the first `same` are the query's.
struct EncodedChoice {
  std::vector<int32_t> ids;
  size_t same;
};
EncodedChoice encode_choice(const Session& session, const Tokenizer& tokenizer, const std::string& query, const std::string& choice, size_t number) {
  const std::string answer = (choice.starts_with(' ') ? "" : " ") + choice;
  const std::vector<int32_t> prompt = tokenizer.encode(query);
  EncodedChoice out{tokenizer.encode(query + answer), 0};
  if (out.ids.size() < 2) throw Error("question {}: the tokenizer makes {} tokens of '{}'; at least 2 are needed", number, out.ids.size(), query + answer);
  if (out.ids.size() > session.context()) throw Error("a question of {} tokens does not fit into the context of {}", out.ids.size(), session.context());
  while (out.same < prompt.size() && out.same + 1 < out.ids.size() && prompt[out.same] == out.ids[out.same]) out.same++;
  out.same = std::max<size_t>(out.same, 1);
  return out;
}

// The ids that all choices begin with, but for those whose logits are scored.
std::span<const int32_t> shared_ids(std::span<const EncodedChoice> choices) {
  std::span<const int32_t> out = choices[0].ids;
  for (const EncodedChoice& c : choices) {
    out = out.first(std::min(out.size(), c.same - 1));
    out = out.first(static_cast<size_t>(std::ranges::mismatch(out, c.ids).in1 - out.begin()));
  }
  return out;
}

// The log-likelihood of each choice, all in one batch behind what they share. `base` keeps the shared ids for the next question: what that has in
// common with them is computed once.
std::vector<double> log_likelihoods(Session& session, uint32_t base, std::span<const EncodedChoice> choices, TokenProgress& computed) {
  const std::span<const int32_t> shared = shared_ids(choices);
  const size_t same = session.truncate_to_common(base, shared);
  computed.skip(session.computed(base));
  const Append head{base, shared.subspan(same), WantLogits::none};
  if (!head.ids.empty()) session.evaluate({&head, 1});
  std::vector<Append> tails;
  for (const EncodedChoice& c : choices)
    tails.push_back({session.copy_sequence(base), std::span(c.ids).first(c.ids.size() - 1).subspan(shared.size()), WantLogits::all});
  std::vector<double> out(choices.size());
  std::vector<size_t> next(choices.size(), shared.size() + 1);
  session.evaluate(tails, nullptr, [&](size_t i, std::span<const float> logits) {
    if (next[i] >= choices[i].same) out[i] -= negative_log_likelihood(logits, choices[i].ids[next[i]]);
    next[i]++;
  });
  for (const Append& tail : tails) session.remove_sequence(tail.sequence);
  return out;
}

}  // namespace

ChoiceScores choose(Session& session, const Tokenizer& tokenizer, std::span<const ChoiceQuestion> questions, const OnProgress& progress) {
  if (questions.empty()) throw Error("there is no question");
  std::vector<EncodedChoice> choices;  // of all questions, one after another
  uint64_t tokens = 0;
  for (size_t q = 0; q < questions.size(); q++)
    for (const std::string& choice : questions[q].choices) choices.push_back(encode_choice(session, tokenizer, questions[q].query, choice, q + 1));
  for (size_t q = 0, at = 0; q < questions.size(); at += questions[q++].choices.size()) {
    const std::span of_one = std::span(choices).subspan(at, questions[q].choices.size());
    const size_t shared = shared_ids(of_one).size();
    tokens += shared;
    for (const EncodedChoice& c : of_one) tokens += c.ids.size() - 1 - shared;
  }
  TokenProgress computed({&session}, tokens, progress);
  ChoiceScores out;
  out.n = questions.size();
  double plain = 0, normed = 0;
  const uint32_t base = session.add_sequence();
  std::span<const EncodedChoice> next = choices;
  for (const ChoiceQuestion& q : questions) {
    const std::vector<double> likelihoods = log_likelihoods(session, base, next.first(q.choices.size()), computed);
    next = next.subspan(q.choices.size());
    size_t best = 0, best_norm = 0;
    double top = -INFINITY, top_norm = -INFINITY;
    for (size_t c = 0; c < q.choices.size(); c++) {
      const double likelihood = likelihoods[c], norm = likelihood / static_cast<double>(std::max<size_t>(1, q.choices[c].size()));
      if (likelihood > top) top = likelihood, best = c;
      if (norm > top_norm) top_norm = norm, best_norm = c;
    }
    plain += best == q.gold, normed += best_norm == q.gold;
    out.chance += 1.0 / static_cast<double>(q.choices.size());
  }
  session.remove_sequence(base);
  const double n = static_cast<double>(out.n), z = 1.959963984540054;
  out.accuracy = plain / n, out.accuracy_norm = normed / n, out.chance /= n;
  const double p = out.accuracy_norm, middle = (p + z * z / (2 * n)) / (1 + z * z / n), half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  out.low = middle - half, out.high = middle + half;
  return out;
}

Comparison compare(Session& a, Session& b, const Tokenizer& tokenizer, std::span<const int32_t> ids, size_t context, size_t chunks, const OnProgress& progress) {
  if (a.model().config.vocab != b.model().config.vocab)
    throw Error("the two models have vocabularies of {} and {}; only equal ones compare", a.model().config.vocab, b.model().config.vocab);
  const size_t vocab = a.model().config.vocab, count = window_count(ids, context, chunks);
  const TokenProgress computed({&a, &b}, 2 * count * context, progress);
  Comparison out;
  Sums sums_a, sums_b;
  double kl = 0, agree = 0;
  std::vector<float> kept;  // the first model's logits of a window, [scored, vocab]
  kept.reserve(context / 2 * vocab);
  for (size_t w = 0; w < count; w++) {
    const auto window = ids.subspan(w * context, context);
    kept.clear();
    score(a, tokenizer, window, [&](std::span<const float> x, int32_t target) {
      sums_a.add(x, target, tokenizer);
      kept.insert(kept.end(), x.begin(), x.end());
    });
    size_t row = 0;
    score(b, tokenizer, window, [&](std::span<const float> y, int32_t target) {
      sums_b.add(y, target, tokenizer);
      const auto x = std::span(kept).subspan(row++ * vocab, vocab);
      const double zx = log_sum(x), zy = log_sum(y);
      double distance = 0;
      for (size_t v = 0; v < vocab; v++) distance += std::exp(x[v] - zx) * ((x[v] - zx) - (y[v] - zy));
      kl += distance, out.kl_max = std::max(out.kl_max, distance);
      agree += std::ranges::max_element(x) - x.begin() == std::ranges::max_element(y) - y.begin();
      out.tokens++;
    });
  }
  out.a = sums_a.result(context, count), out.b = sums_b.result(context, count);
  out.kl_mean = kl / static_cast<double>(out.tokens), out.top1_agreement = agree / static_cast<double>(out.tokens);
  return out;
}

}  // namespace moiety
