// What comes before a model's blocks: rows from what stands beside them.
//
//   [model]
//   input = {kind = "tokens"}
#pragma once
#include "learn/part.h"

namespace moiety {

class InputPart : public TrainedPart {
 public:
  virtual at::Tensor forward(const RowContext& rows, TrainingStep& step) = 0;  // [rows, d]
  // The parameter, [vocabulary, d], that a head may share.
  virtual size_t table() const = 0;
};

struct InputInfo {
  std::string_view name, meaning, source;
  std::unique_ptr<InputPart> (*build)(const Table& table, const PartSite& site);
};
// All of them: learn/registry.cc. The first is what holds where a description names none.
std::span<const InputInfo> inputs();

}  // namespace moiety
