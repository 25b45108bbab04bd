// Blocks of a mixer and an FFN, with norms, one after another.
#pragma once
#include "learn/norm.h"

namespace moiety {

class BlockStack : public TrainedPart {
 public:
  // Declares a block more, as its table says; `site` is its place, but for the routers before it.
  void append(const Table& block, const PartSite& site);

  // The sums that the last block leaves, and these behind a last norm.   x: [rows, d]
  SumAndNorm forward(at::Tensor x, const Norm& last, const RowContext& rows, TrainingStep& step);

  void after_step(const TrainingStep& step) override;
  void see_text(std::span<const uint64_t> tokens, uint64_t seed) override;
  std::vector<std::pair<std::string, std::span<float>>> buffers() override;
  size_t active_parameters() const override;
  // Of all parts: `config` of the last block, with `beyond` where blocks differ; `own` the list of blocks.
  PartFacts facts() const;

 private:
  struct Layer {
    std::optional<Norm> before, after;  // of its input and its output
    bool beside;                        // its input is that of the layer before it
    size_t block, due;                  // the block where it stands, and behind which its output is added
    std::unique_ptr<ModelPart> part;
  };
  // norm: the begin of its norms' names, empty where it has none.
  void append(const PartInfo& part, const Table& table, PartSite site, Layer layer, const std::string& norm);

  BlockStyle style_;
  int64_t scores_ = 0;  // of the last router
  size_t blocks_ = 0;
  std::vector<Layer> layers_;  // of each block the mixer, the FFN, and one that stands aside, if there is one
};

}  // namespace moiety
