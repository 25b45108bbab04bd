// Which window of which source a training run sees next.
//
// A window is `context` ids and the one after them, of one source, across its documents. Step and slot choose the source, by its weight;
// the source's own counter chooses the window, through an order that is new each epoch, so that an epoch has each window once. The
// counters are all the state there is: weights may change at any time, and a restored run goes on with the same windows.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/token_stream.h"

namespace moiety {

struct MixtureSource {
  std::string name;    // for messages and the saved state
  std::string domain;  // the label of its windows
  TokenStream stream;
  double weight = 1;
};

struct TrainingWindow {
  uint32_t source, domain;  // indices of sources() and domains()
  uint64_t begin;           // in the source's stream
};

class Mixture {
 public:
  // An Error if a source is shorter than a window, or a weight is no share.
  Mixture(std::vector<MixtureSource> sources, size_t context, uint64_t seed);

  const std::vector<MixtureSource>& sources() const { return sources_; }
  const std::vector<std::string>& domains() const { return domains_; }
  size_t context() const { return context_; }
  void set_weights(std::span<const double> weights);  // [sources]

  // The windows of a step, and on. A step that is asked for twice gets other windows the second time, of the same sources.
  std::vector<TrainingWindow> next(uint64_t step, size_t slots);
  void read(const TrainingWindow& window, std::span<int32_t> ids) const;  // [context + 1]

  uint64_t windows(size_t source) const { return (sources_[source].stream.size() - 1) / context_; }  // in an epoch
  uint64_t drawn(size_t source) const { return drawn_[source]; }                                      // windows, over all epochs

  nlohmann::json state() const;
  // An Error if `state` (of a file called `origin`) was saved with other data, another context or another seed.
  void restore(const nlohmann::json& state, const std::string& origin);

 private:
  size_t choose(uint64_t step, uint32_t slot) const;
  uint64_t window_at(size_t source, uint64_t counter) const;

  std::vector<MixtureSource> sources_;
  std::vector<std::string> domains_;
  std::vector<uint32_t> domain_of_;  // [sources]
  std::vector<uint64_t> drawn_;      // [sources]
  size_t context_;
  uint64_t seed_;
};

}  // namespace moiety
