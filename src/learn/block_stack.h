// Blocks of a mixer and an FFN, each behind a norm, one after another.
#pragma once
#include "learn/function_norm.h"
#include "learn/part.h"

namespace moiety {

class BlockStack : public TrainedPart {
 public:
  // Declares a block more, as its table says; `site` is its place, but for the routers before it.
  void append(const Table& block, PartSite site);

  // The sums that the last block leaves, and these behind a last norm, whose weight is `last`.   x: [rows, d]
  SumAndNorm forward(at::Tensor x, const at::Tensor& last, const RowContext& rows, TrainingStep& step);

  void after_step(const TrainingStep& step) override;
  void see_text(std::span<const uint64_t> tokens, uint64_t seed) override;
  std::vector<std::pair<std::string, std::span<float>>> buffers() override;
  size_t active_parameters() const override;
  // Of all parts: `config` of the last block, with `beyond` where blocks differ; `own` the list of blocks.
  PartFacts facts() const;

 private:
  struct Layer {
    size_t norm;
    std::unique_ptr<ModelPart> part;
  };
  Arena* arena_ = nullptr;
  float epsilon_ = 0;
  int64_t scores_ = 0;  // of the last router
  std::vector<Layer> layers_;  // mixer and FFN in turn
};

}  // namespace moiety
