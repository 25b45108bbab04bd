// What comes after a model's blocks: from the last rows to a loss.
//
//   [model]
//   head = {kind = "multi_token", weight = 0.3}
#pragma once
#include "learn/block_stack.h"
#include "learn/function_head.h"
#include "learn/input.h"

namespace moiety {

// The sums that the last block leaves, and these behind the last norm.   [rows, d] each
using LastRows = SumAndNorm;

class HeadPart : public TrainedPart {
 public:
  // The loss of what the model is for. Others join step.losses. targets: [rows] int32; one of -1 does not count.
  virtual HeadResult forward(const LastRows& x, const RowContext& rows, const at::Tensor& targets, TrainingStep& step) = 0;
};

// Where a head stands.
struct HeadSite {
  PartSite part;           // its layer is the first that no block has
  InputPart& input;
  size_t output;           // the parameter, [vocabulary, d], that scores the next token
  std::optional<size_t> bias;  // [vocabulary] of its scores
  float z_loss;
  const Table& last_block;
};

struct HeadInfo {
  std::string_view name, meaning, source;
  std::unique_ptr<HeadPart> (*build)(const Table& table, const HeadSite& site);
};
// All of them: learn/registry.cc. The first is what holds where a description names none.
std::span<const HeadInfo> heads();

}  // namespace moiety
