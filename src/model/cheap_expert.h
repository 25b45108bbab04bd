// Experts that are no FFN (zero, copy, constant; experts/bank.h): what the ways through a mixture share.
#pragma once
#include <span>
#include <vector>

#include "model/step.h"

namespace moiety {

class CheapExpert {
 public:
  // x: [rows, d_model] of the rows that it serves; only a constant expert looks at it.
  CheapExpert(const ExpertView& view, const Buffer& x, Workers& workers);

  // y = columns [begin, begin + y.size()) of the output for the i-th of those rows, `x`.
  void output(std::span<const float> x, size_t i, size_t begin, std::span<float> y) const;

 private:
  ExpertKind kind_;
  const float* vector_ = nullptr;
  std::vector<float> shares_;  // [rows, 2]
};

}  // namespace moiety
