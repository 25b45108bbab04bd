// A language model as its description says: an input, blocks of a mixer and an FFN with norms, and a head.
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "learn/block_stack.h"
#include "learn/head.h"

namespace moiety {

class LanguageModel {
 public:
  // Declares all parameters; the caller finishes the arena. vocabulary: size of the tokenizer's.
  LanguageModel(const Table& table, int64_t vocabulary, Arena& arena);

  // rows.ids and targets: [rows] int32; a target of -1 does not count.
  HeadResult forward(const RowContext& rows, const at::Tensor& targets, TrainingStep& step);
  // The last rows before the head.   [rows, d]
  at::Tensor hidden(const RowContext& rows, TrainingStep& step) { return last_rows(rows, step).normed; }
  void after_step(const TrainingStep& step);
  void see_text(std::span<const uint64_t> tokens, uint64_t seed);  // as parts do

  std::vector<std::pair<std::string, std::span<float>>> buffers();
  int64_t context() const { return context_; }
  int64_t vocabulary() const { return vocabulary_; }
  size_t active_parameters() const;
  // Of all blocks: `config` of the last one, with `beyond` where they differ; `own` of the whole model.
  PartFacts facts() const;

 private:
  std::array<TrainedPart*, 3> parts() { return {input_.get(), &blocks_, head_.get()}; }
  SumAndNorm last_rows(const RowContext& rows, TrainingStep& step);
  void read_style(const Table& table);

  Arena& arena_;
  int64_t d_, context_, vocabulary_;
  float epsilon_, output_epsilon_, embedding_scale_, logit_scale_;
  BlockStyle style_;
  bool tied_;
  uint64_t count_;  // of blocks
  std::unique_ptr<InputPart> input_;
  BlockStack blocks_;
  std::optional<Norm> output_norm_;
  std::optional<size_t> head_bias_;
  std::unique_ptr<HeadPart> head_;
};

}  // namespace moiety
