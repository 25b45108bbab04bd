#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/random.h"
#include "data/permutation.h"

namespace moiety {

Mixture::Mixture(std::vector<MixtureSource> sources, size_t context, uint64_t seed) : sources_(std::move(sources)), context_(context), seed_(seed) {
  if (sources_.empty()) throw Error("the training data has no source; name at least one text file");
  if (context_ == 0) throw Error("a training window of no tokens teaches nothing; give a context of at least 1");
  std::vector<double> weights;
  for (const MixtureSource& s : sources_) {
    if (s.stream.size() < context_ + 1)
      throw Error("source {}: has {} tokens, and a training window takes {}; give it more text, or the model a shorter context", s.name, s.stream.size(), context_ + 1);
    const auto known = std::ranges::find(domains_, s.domain);
    domain_of_.push_back(static_cast<uint32_t>(known - domains_.begin()));
    if (known == domains_.end()) domains_.push_back(s.domain);
    weights.push_back(s.weight);
  }
  drawn_.resize(sources_.size());
  set_weights(weights);
}

void Mixture::set_weights(std::span<const double> weights) {
  double total = 0;
  for (size_t i = 0; i < sources_.size(); i++) {
    if (!std::isfinite(weights[i]) || weights[i] < 0) throw Error("source {}: its weight {} is no share; give a number of at least 0", sources_[i].name, weights[i]);
    total += weights[i];
  }
  if (!std::isfinite(total) || total <= 0) throw Error("the weights of the training data's sources add up to {}; give at least one source a weight above 0", total);
  for (size_t i = 0; i < sources_.size(); i++) sources_[i].weight = weights[i];
}

size_t Mixture::choose(uint64_t step, uint32_t slot) const {
  double total = 0;
  for (const MixtureSource& s : sources_) total += s.weight;
  double left = total * uniform(seed_, step, RandomStream::data_source, slot);
  size_t last = 0;
  for (size_t i = 0; i < sources_.size(); i++) {
    if (sources_[i].weight <= 0) continue;
    last = i;  // rounding may leave a little beyond the last
    if (left < sources_[i].weight) break;
    left -= sources_[i].weight;
  }
  return last;
}

// The windows of an epoch lie side by side; what they leave over is before the first and behind the last, in shares that change with the
// epoch, so that neither the cuts nor the ids that are left out are always the same.
uint64_t Mixture::window_at(size_t source, uint64_t counter) const {
  const uint64_t count = windows(source), epoch = counter / count, left_over = (sources_[source].stream.size() - 1) % context_;
  const auto key = philox4x32({static_cast<uint32_t>(epoch), static_cast<uint32_t>(epoch >> 32), static_cast<uint32_t>(RandomStream::data_order), static_cast<uint32_t>(source)},
                              {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  return Permutation(count, key)(counter % count) * context_ + key[0] % (left_over + 1);
}

std::vector<TrainingWindow> Mixture::next(uint64_t step, size_t slots) {
  std::vector<TrainingWindow> out;
  for (uint32_t slot = 0; slot < slots; slot++) {
    const size_t source = choose(step, slot);
    out.push_back({static_cast<uint32_t>(source), domain_of_[source], window_at(source, drawn_[source]++)});
  }
  return out;
}

void Mixture::read(const TrainingWindow& window, std::span<int32_t> ids) const { sources_[window.source].stream.read(window.begin, ids.first(context_ + 1)); }

nlohmann::json Mixture::state() const {
  nlohmann::json out = {{"context", context_}, {"seed", seed_}, {"sources", nlohmann::json::array()}};
  for (size_t i = 0; i < sources_.size(); i++)
    out["sources"].push_back({{"name", sources_[i].name}, {"fingerprint", sources_[i].stream.fingerprint()}, {"drawn", drawn_[i]}});
  return out;
}

void Mixture::restore(const nlohmann::json& state, const std::string& origin) {
  std::vector<uint64_t> drawn;
  try {
    if (state.at("context").get<uint64_t>() != context_ || state.at("seed").get<uint64_t>() != seed_)
      throw Error("{}: was saved with context {} and seed {}, and now they are {} and {}; go on with the same", origin, state["context"].dump(), state["seed"].dump(), context_, seed_);
    const nlohmann::json& saved = state.at("sources");
    if (saved.size() != sources_.size()) throw Error("{}: was saved with {} sources of data, and now there are {}; go on with the same", origin, saved.size(), sources_.size());
    for (size_t i = 0; i < sources_.size(); i++) {
      const nlohmann::json& s = saved.at(i);
      if (s.at("name").get<std::string>() != sources_[i].name || s.at("fingerprint").get<uint64_t>() != sources_[i].stream.fingerprint())
        throw Error("{}: was saved with other data than source {} has now; go on with the same texts and the same tokenizer", origin, sources_[i].name);
      drawn.push_back(s.at("drawn").get<uint64_t>());
    }
  } catch (const nlohmann::json::exception&) {
    throw Error("{}: does not say where the training data stood; the file is damaged", origin);
  }
  drawn_ = std::move(drawn);
}

}  // namespace moiety
