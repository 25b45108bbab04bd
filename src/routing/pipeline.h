// A routing pipeline bound to a site: from router logits to a row's choices.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "routing/registry.h"

namespace moiety {

// What running a pipeline needs besides the row; reused from row to row so that nothing is allocated.
struct RoutingScratch {
  std::vector<Candidate> candidates;
  std::vector<Choice> choices;
  std::vector<uint32_t> seen;  // [experts] the check that last met this id, where experts are few
  uint32_t checks = 0;
  std::vector<uint32_t> sorted;  // ids of the candidates, where experts are many
};

class Pipeline {
 public:
  struct Entry {
    std::string text;  // "top_k(8)"
    AnyStage stage;
    size_t carry_at = 0, memory_at = 0;  // where this stage's own part begins; set by Pipeline
  };
  Pipeline(std::vector<Entry> entries, uint32_t layer, uint32_t experts);

  // One row. Candidates are all experts with their logits, unless the pipeline begins with a source of its own. The choices, in
  // descending weight, are in scratch.choices. carry_out: [carry_size()]. Not for pipelines with cohort stages.
  void run(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out) const;

  // All rows of one cohort (a request), in position order; logits [rows, experts]. carry_out: [rows, carry_size()], or empty.
  void run_cohort(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan,
                  std::span<float> carry_out = {}) const;

  uint32_t needs() const { return needs_; }
  size_t carry_size() const { return carry_size_; }
  size_t memory_size() const { return memory_size_; }
  uint32_t experts() const { return experts_; }  // ids that it may choose
  bool has_cohort_stage() const { return has_cohort_; }
  bool needs_logits() const { return needs_logits_; }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  void fill(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::vector<Candidate>& candidates,
            std::span<float> carry) const;
  void check(std::string_view stage, const std::vector<Candidate>& candidates, RoutingScratch& scratch) const;
  std::optional<uint32_t> repeated(const std::vector<Candidate>& candidates, RoutingScratch& scratch) const;
  static void choose(const std::vector<Candidate>& candidates, std::vector<Choice>& out);

  std::vector<Entry> entries_;
  uint32_t layer_, experts_;
  uint32_t needs_ = 0;
  size_t carry_size_ = 0, memory_size_ = 0;
  bool has_cohort_ = false, needs_logits_ = true;
};

}  // namespace moiety
