// A language model as its description says: an embedding, blocks of a mixer and an FFN, each behind a norm, and a head.
#pragma once
#include <memory>
#include <vector>

#include "learn/function_head.h"
#include "learn/part.h"

namespace moiety {

class LanguageModel {
 public:
  // Declares all parameters; the caller finishes the arena. vocabulary: size of the tokenizer's.
  LanguageModel(const Table& table, int64_t vocabulary, Arena& arena);

  // rows.ids and targets: [rows] int32; a target of -1 does not count.
  HeadResult forward(const RowContext& rows, const at::Tensor& targets, TrainingStep& step);
  // The last rows before the head.   [rows, d]
  at::Tensor hidden(const RowContext& rows, TrainingStep& step);
  void after_step(const TrainingStep& step);
  void see_text(std::span<const uint64_t> tokens, uint64_t seed);  // as parts do

  std::vector<std::pair<std::string, std::span<float>>> buffers();
  int64_t context() const { return context_; }
  int64_t vocabulary() const { return vocabulary_; }
  size_t active_parameters() const;
  // Of all parts: `config` of the last block, with `beyond` where blocks differ; `own` of the whole model, block by block.
  PartFacts facts() const;

 private:
  struct Layer {
    size_t norm;
    std::unique_ptr<ModelPart> part;
  };
  Arena& arena_;
  int64_t d_, context_, vocabulary_;
  float epsilon_, z_loss_;
  size_t embedding_, output_norm_, head_;
  std::vector<Layer> layers_;
};

}  // namespace moiety
