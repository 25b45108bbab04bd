#include "engine/session.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "model/forward.h"

namespace moiety {
namespace {

bool recurrent(const Block& block) {
  const Mixer m = block.config->mixer;
  return m == Mixer::short_convolution || m == Mixer::gated_delta || m == Mixer::kimi_delta;
}

void check_cache_type(const Model& model, TensorType type) {
  if (type != TensorType::f32 && type != TensorType::f16 && type != TensorType::bf16 && type != TensorType::q8_0)
    throw UsageError("a cache of type {}: f32, f16, bf16 and q8_0 are known", type_info(type).name);
  if (type != TensorType::q8_0) return;
  const Config& c = model.config;
  const auto check = [](size_t width) {
    if (width % 32 != 0) throw UsageError("--kv q8_0 needs cache rows of a multiple of 32 numbers; this model's have {}; use --kv f16", width);
  };
  for (const BlockConfig& b : c.blocks) {
    if (b.mixer == Mixer::latent_attention) {
      check(size_t{c.kv_rank} + c.rope_key_size);
      continue;
    }
    const AttentionConfig a = c.attention_of(b);
    check(size_t{a.kv_heads} * a.key_size);
    check(size_t{a.kv_heads} * a.value_size);
  }
}

// A cohort would have to be computed in one piece: its result would depend on --chunk.
void check_rows_only(const Model& model, const BoundRouting& routing) {
  for (const Site* site : model.sites)
    if (routing.sites[site->index].has_cohort_stage())
      throw UsageError("routing {}: layer {} has a stage that looks across a request's rows, which this engine does not compute", routing.text, site->layer);
}

}  // namespace

Session::Session(std::shared_ptr<const Model> model, const SessionOptions& options)
    : model_(std::move(model)),
      workers_(options.threads ? options.threads : default_thread_count()),
      cache_type_(options.cache_type),
      context_(options.context ? options.context : std::min(model_->config.context, 4096u)),
      chunk_(std::max<size_t>(1, options.chunk)),
      routing_(options.routing),
      allow_batch_dependent_(options.allow_batch_dependent) {
  check_cache_type(*model_, cache_type_);
  bind(routing_);
}

Session::Sequence& Session::at(uint32_t sequence) { return sequences_.at(sequence); }
const Session::Sequence& Session::at(uint32_t sequence) const { return sequences_.at(sequence); }

std::shared_ptr<const BoundRouting> Session::bind(const std::string& text) {
  if (auto it = bound_.find(text); it != bound_.end()) return it->second;
  const RoutingPolicy policy = RoutingPolicy::parse(text, allow_batch_dependent_ ? Allow::batch : Allow::rows);
  auto out = std::make_shared<BoundRouting>();
  out->text = policy.text();
  for (const Site* site : model_->sites) {
    const uint32_t scored = site->router ? static_cast<uint32_t>(site->router.weight.rows) : site->bank->size();
    StageSite bound{site->index, site->layer, scored, {}, site->bank->size()};
    bound.tensors.find = [site](std::string_view name) { return name == "bias" ? site->choice_bias : name == "table" ? site->route_table : std::span<const float>(); };
    out->sites.push_back(policy.bind(bound, site->routing));
    if (!site->router && out->sites.back().needs_logits())
      throw UsageError("routing {}: layer {} of this model has no router; its own routing is {}, and stages like random need none either", out->text, site->layer, site->routing);
  }
  check_rows_only(*model_, *out);
  return bound_[text] = out;
}

void Session::add_routing(std::shared_ptr<const BoundRouting> routing) {
  if (routing->sites.size() != model_->sites.size())
    throw UsageError("routing {}: {} pipelines for {} sites", routing->text, routing->sites.size(), model_->sites.size());
  for (const Site* site : model_->sites)
    if (const uint32_t ids = routing->sites[site->index].experts(); ids > site->bank->size())
      throw UsageError("routing {}: chooses among {} experts, layer {} has {}", routing->text, ids, site->layer, site->bank->size());
  check_rows_only(*model_, *routing);
  bound_[routing->text] = std::move(routing);
}

uint32_t Session::add_sequence(const std::string& routing, uint64_t seed) {
  Sequence s;
  s.routing = bind(routing.empty() ? routing_ : routing);
  s.seed = seed;
  forget(s);
  sequences_.emplace(next_, std::move(s));
  return next_++;
}

void Session::remove_sequence(uint32_t sequence) { sequences_.erase(sequence); }

uint32_t Session::copy_sequence(uint32_t sequence) {
  sequences_.emplace(next_, at(sequence));
  return next_++;
}

// Drops what was computed; the ids stay.
void Session::forget(Sequence& s) const {
  s.blocks.assign(model_->blocks.size(), {});
  s.site_memory.assign(model_->sites.size(), {});
  s.computed = 0;
}

void Session::truncate(uint32_t sequence, size_t length) {
  Sequence& s = at(sequence);
  if (length >= s.ids.size()) return;
  s.ids.resize(length);
  if (s.computed <= length) return;
  bool keeps_state = std::ranges::any_of(s.site_memory, [](const auto& memory) { return !memory.empty(); });
  for (const Block& block : model_->blocks) keeps_state |= recurrent(block);
  // A state that has seen later tokens cannot go back: it is computed anew, to the same bits.
  if (keeps_state) return forget(s);
  for (BlockState& block : s.blocks) {
    block.keys.resize(block.keys.size() / s.computed * length);
    block.values.resize(block.values.size() / s.computed * length);
  }
  s.computed = length;
}

size_t Session::truncate_to_common(uint32_t sequence, std::span<const int32_t> ids) {
  const std::vector<int32_t>& held = at(sequence).ids;
  const size_t same = static_cast<size_t>(std::ranges::mismatch(held, ids).in1 - held.begin());
  truncate(sequence, same);
  return same;
}

void Session::declare_length(uint32_t sequence, uint32_t length) { at(sequence).declared_length = length; }

// Frequencies for the length that the sequence has or was said to get. If that changes them, what was computed no longer holds.
void Session::choose_frequencies(Sequence& s) const {
  const uint32_t length = std::max<uint32_t>(s.declared_length, static_cast<uint32_t>(s.ids.size()));
  std::vector<uint32_t> classes;
  for (const Rope& rope : model_->config.ropes) classes.push_back(rope_length_class(rope, length));
  if (classes == s.length_classes) return;
  s.length_classes = classes;
  s.frequencies.clear();
  for (size_t r = 0; r < classes.size(); r++) s.frequencies.push_back(rope_frequencies(model_->config.ropes[r], classes[r]));
  if (s.computed > 0) forget(s);
}

void Session::check(std::span<const int32_t> ids, size_t length) const {
  if (length + ids.size() > context_)
    throw Error("{} tokens do not fit into the context of {}; give a larger --context", length + ids.size(), context_);
  for (int32_t id : ids)
    if (id < 0 || static_cast<uint32_t>(id) >= model_->config.vocab)
      throw Error("token id {} is outside the vocabulary of {}", id, model_->config.vocab);
}

std::vector<std::vector<float>> Session::evaluate(std::span<const Append> appends, Observer* observer) {
  std::vector<std::vector<float>> out(appends.size());
  for (size_t i = 0; i < appends.size(); i++)
    out[i].reserve(model_->config.vocab * (appends[i].logits == WantLogits::all ? appends[i].ids.size() : appends[i].logits == WantLogits::last));
  evaluate(appends, observer, [&](size_t i, std::span<const float> logits) { out[i].insert(out[i].end(), logits.begin(), logits.end()); });
  return out;
}

void Session::evaluate(std::span<const Append> appends, Observer* observer, const TakeLogits& take) {
  std::set<uint32_t> seen;
  for (const Append& append : appends) {
    const Sequence& s = at(append.sequence);
    if (!seen.insert(append.sequence).second) throw Error("a sequence stands in the batch twice");
    check(append.ids, s.ids.size());
  }
  std::vector<size_t> old;
  for (const Append& append : appends) {
    Sequence& s = at(append.sequence);
    old.push_back(s.ids.size());
    s.ids.insert(s.ids.end(), append.ids.begin(), append.ids.end());
    choose_frequencies(s);
  }
  try {
    run_rows(appends, observer, take);
  } catch (...) {  // leave the sequences as they were asked before
    for (size_t i = 0; i < appends.size(); i++) {
      at(appends[i].sequence).ids.resize(old[i]);
      forget(at(appends[i].sequence));
    }
    throw;
  }
}

void Session::run_rows(std::span<const Append> appends, Observer* observer, const TakeLogits& take) {
  struct Wanted {
    size_t append;
    bool logits;
  };
  std::vector<StepRow> rows;
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < appends.size(); i++) {
    Sequence& s = at(appends[i].sequence);
    const size_t fresh = s.ids.size() - appends[i].ids.size();
    for (size_t p = s.computed; p < s.ids.size(); p++) {
      rows.push_back({&s, static_cast<uint32_t>(p), s.ids[p], appends[i].sequence});
      const bool all = appends[i].logits == WantLogits::all, last = appends[i].logits == WantLogits::last;
      wanted.push_back({i, p >= fresh && (all || (last && p + 1 == s.ids.size()))});
    }
  }
  const size_t d = model_->config.d_model, vocab = model_->config.vocab;
  for (size_t begin = 0; begin < rows.size(); begin += chunk_) {
    const size_t end = std::min(rows.size(), begin + chunk_);
    Step step{*model_, workers_, cache_type_, {rows.begin() + static_cast<ptrdiff_t>(begin), rows.begin() + static_cast<ptrdiff_t>(end)}};
    step.observer = observer;
    if (on_tokens_)
      step.on_blocks = [&, told = size_t{0}](size_t blocks) mutable {
        const size_t done = step.count() * blocks / model_->blocks.size();
        on_tokens_(done - std::exchange(told, done));
      };
    Buffer hidden(end - begin, d);
    forward(step, hidden);
    std::vector<size_t> places;
    for (size_t r = begin; r < end; r++)
      if (wanted[r].logits) places.push_back(r);
    for (size_t first = 0; first < places.size(); first += logit_rows) {
      const size_t count = std::min(logit_rows, places.size() - first);
      Buffer some(count, d), logits(count, vocab);
      for (size_t k = 0; k < count; k++) std::ranges::copy(hidden[places[first + k] - begin], some[k].begin());
      logits_of(step, some, logits);
      for (size_t k = 0; k < count; k++) take(wanted[places[first + k]].append, logits[k]);
    }
    for (size_t r = begin; r < end; r++) static_cast<Sequence*>(rows[r].sequence)->computed = rows[r].position + 1;
  }
}

uint64_t Session::cache_bytes() const {
  uint64_t sum = 0;
  for (const auto& [id, s] : sequences_)
    for (const BlockState& b : s.blocks)
      sum += b.keys.capacity() + b.values.capacity() + (b.conv.capacity() + b.delta.capacity()) * sizeof(float);
  return sum;
}

}  // namespace moiety
