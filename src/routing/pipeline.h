// A routing pipeline bound to a site: from router logits to a row's choices, and from the choices' gradients back.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "routing/history.h"
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

// One row's gradients: what comes from behind, and where it goes.
struct RowGradient {
  std::span<const Choice> d_choices;  // d loss / d weight by expert, in any order; of what the row did not choose nothing is taken
  std::span<float> d_logits;          // written; empty for a pipeline that does not need logits
  // For pipelines with stages that forward from features, carry or tensors of their own; carry: [carry_size()].
  std::span<float> d_features, d_carry_in;  // added to
  std::span<const float> d_carry_out;
  const TensorGradients* tensors = nullptr;
};

// Room for a backward pass, used again from row to row.
struct GradientScratch {
  std::vector<float> d_out, d_in;  // [rows of a cohort, ids] zero between rows
  std::vector<StageGradient> rows;
};

class Pipeline {
 public:
  struct Entry {
    std::string text;  // "top_k(8)"
    AnyStage stage;
    // This stage's own part of the carry and of the sequence's memory; set by Pipeline.
    size_t carry_at = 0, carries = 0, memory_at = 0, keeps = 0;
    // The row as this stage sees it, whatever other stages keep. `room` lives as long as the result.
    RoutingInput own_part(const RoutingInput& input, SequenceContext& room) const;
  };
  Pipeline(std::vector<Entry> entries, uint32_t layer, uint32_t experts);

  // One row. Candidates are all experts with their logits, unless the pipeline begins with a source of its own. The choices, in
  // descending weight, are in scratch.choices. carry_out: [carry_size()]. Not for pipelines with cohort stages.
  void run(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out) const;

  // All rows of one cohort (a request), in position order; logits [rows, experts]. carry_out: [rows, carry_size()], or empty.
  void run_cohort(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan,
                  std::span<float> carry_out = {}) const {
    run_rows(inputs, logits, plan, carry_out, nullptr);
  }

  // The same, and the rows join the history.
  void run_recorded(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, RoutingHistory& history,
                    std::span<float> carry_out = {}) const;
  void run_cohort_recorded(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan, RoutingHistory& history,
                           std::span<float> carry_out = {}) const {
    run_rows(inputs, logits, plan, carry_out, &history);
  }
  // The gradients of the history's rows from `first_row` on, with the inputs that they were run with; of cohorts, all rows of one.
  void backward(std::span<const RoutingInput> inputs, const RoutingHistory& history, size_t first_row, std::span<const RowGradient> gradients,
                GradientScratch& scratch) const;

  uint32_t needs() const { return needs_; }
  size_t carry_size() const { return carry_size_; }
  size_t memory_size() const { return memory_size_; }
  uint32_t experts() const { return experts_; }  // ids that it may choose
  bool has_cohort_stage() const { return has_cohort_; }
  bool needs_logits() const { return needs_logits_; }
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  template <bool recorded>  // a run without a history pays nothing for one
  void run_row(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out,
               RoutingHistory* history) const;
  void run_rows(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan, std::span<float> carry_out,
                RoutingHistory* history) const;
  void backward_together(std::span<const RoutingInput> inputs, const RoutingHistory& history, size_t first_row,
                         std::span<const RowGradient> gradients, GradientScratch& scratch) const;
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
