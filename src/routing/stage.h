// A stage of a routing pipeline edits one row's list of candidates; what is left at the end is the plan.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
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

// A row's random numbers, which depend on the sequence's seed, the row's position and the site alone: for stages that need the sequence.
class RowDraws {
 public:
  // salt: tells the draws of one stage from those of another.
  RowDraws(const RoutingInput& in, uint64_t salt) : seed_(in.sequence->seed ^ salt << 32), place_(uint64_t{in.site} << 32 | in.position) {}
  float uniform(uint32_t index) const { return static_cast<float>(moiety::uniform(seed_, place_, RandomStream::routing, index)); }
  float normal(uint32_t index) const { return standard_normal(seed_, place_, RandomStream::routing, index); }

 private:
  uint64_t seed_, place_;
};

// What a stage asks the engine to fill, as a set of bits; `memory` follows from memory_size().
namespace needs {
inline constexpr uint32_t sequence = 1, memory = 2;
}

// What a stage looks at beyond its row, for which it needs consent; or that it acts in training only, and leaves a model that is used.
enum class Mark : uint8_t { row, batch, future, residency, training };

// The site's own tensors, as float32: for stages that a model parameterises (`bias`, `linear`).
struct SiteTensors {
  std::function<std::span<const float>(std::string_view name)> find;  // empty if the model has none of that name
};

// Where the gradients of the site's own tensors are added up: for stages whose tensors are trained.
struct TensorGradients {
  std::function<std::span<float>(std::string_view name)> find;
};

// What a stage's backward has and writes, for one row. Gradients are d loss / d weigh: `choose` has none, since a selection does not
// change by degrees. They stand by expert id, so that no stage has to tell which of its candidates went where.
struct StageGradient {
  std::span<const Candidate> in, out;  // before and after the stage
  std::span<const float> d_out;        // [ids] zero for all that are not in `out`
  std::span<float> d_in;               // [ids] zero on entry; the stage writes those in `in`
  // Of the row's features, of the stage's own part of the carry, and of its tensors: for the stages that forward from them.
  std::span<float> d_features, d_carry_in;  // added to
  std::span<const float> d_carry_out;
  const TensorGradients* tensors = nullptr;
};

// An expert keeps its gradient; what was removed gets none.
inline void pass_by_id(const StageGradient& g) {
  for (const Candidate& c : g.in) g.d_in[c.expert] = g.d_out[c.expert];
}

// The first stage of a pipeline: fills the candidates of one row, all experts or a short list of them.
class SourceStage {
 public:
  virtual ~SourceStage() = default;
  virtual uint32_t needs() const { return 0; }
  virtual Mark mark() const { return Mark::row; }
  virtual size_t carry_size() const { return 0; }
  virtual size_t memory_size() const { return 0; }
  virtual void forward(const RoutingInput&, std::vector<Candidate>&, std::span<float> carry_out) const = 0;
  // `in` is empty: gradients go to features, carry and tensors. Right as it is where the weights are constants.
  virtual void backward(const RoutingInput&, const StageGradient&) const {}
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
  // Right as it is where `weigh` stays or gets a constant added: for selections. The sequence's memory is as forward left it.
  virtual void backward(const RoutingInput&, const StageGradient& g) const { pass_by_id(g); }
};

// Sees all rows of one cohort (one request) at one site, by position.
class CohortStage {
 public:
  virtual ~CohortStage() = default;
  virtual Mark mark() const { return Mark::batch; }
  virtual void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>>) const = 0;
  virtual void backward(std::span<const RoutingInput>, std::span<const StageGradient> rows) const {
    for (const StageGradient& g : rows) pass_by_id(g);
  }
};

}  // namespace moiety
