// A stage of a routing pipeline edits one row's list of candidates; what is left at the end is the plan.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/plan.h"

namespace moiety {

struct Candidate {
  uint32_t expert;
  float choose;  // decides the selection
  float weigh;   // becomes the weight
};

// The orders in which stages choose. Equal scores go to the lower id, so that a choice never depends on the sort.
inline bool chosen_before(const Candidate& a, const Candidate& b) { return a.choose != b.choose ? a.choose > b.choose : a.expert < b.expert; }
inline bool weighs_more(const Candidate& a, const Candidate& b) { return a.weigh != b.weigh ? a.weigh > b.weigh : a.expert < b.expert; }

struct SequenceContext {
  uint64_t seed = 0;
  std::span<const int32_t> ids;   // token ids up to the row's
  std::span<float> memory;        // this site's memory of the sequence, written in position order
};

// One row: a token, a sub-token or a slot.
struct RoutingInput {
  uint32_t site = 0, layer = 0, position = 0;
  std::span<const float> features;  // the router's input [d_model]
  std::span<const float> carry;     // recurrent state along depth, reset at layer 0
  SequenceContext* sequence = nullptr;  // where some stage needs it
};

// What a stage asks the engine to fill, as a set of bits; `memory` follows from memory_size().
namespace needs {
inline constexpr uint32_t sequence = 1, memory = 2;
}

enum class Mark : uint8_t { row, batch, future, residency, training };  // every mark but row needs consent

// The site's own tensors, as float32: for stages that a model parameterises (`bias`, `linear`).
struct SiteTensors {
  std::function<std::span<const float>(std::string_view name)> find;  // empty if the model has none of that name
};

// The first stage of a pipeline: fills the candidates of one row, all experts or a short list of them.
class SourceStage {
 public:
  virtual ~SourceStage() = default;
  virtual uint32_t needs() const { return 0; }
  virtual Mark mark() const { return Mark::row; }
  virtual size_t carry_size() const { return 0; }
  virtual size_t memory_size() const { return 0; }
  virtual void forward(const RoutingInput&, std::vector<Candidate>&, std::span<float> carry_out) const = 0;
};

// Sees one row, so it cannot leak.
class RowStage {
 public:
  virtual ~RowStage() = default;
  virtual uint32_t needs() const { return 0; }
  virtual Mark mark() const { return Mark::row; }
  virtual size_t carry_size() const { return 0; }   // floats that go from site to site
  virtual size_t memory_size() const { return 0; }  // floats kept per sequence and site
  virtual void forward(const RoutingInput&, std::vector<Candidate>&, std::span<float> carry_out) const = 0;
};

// Sees all rows of one cohort (one request) at one site, by position.
class CohortStage {
 public:
  virtual ~CohortStage() = default;
  virtual Mark mark() const { return Mark::batch; }
  virtual void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>>) const = 0;
};

}  // namespace moiety
