// A norm of rows as a model's description says: RMSNorm, or LayerNorm (Ba et al. 2016) with a bias or without.
#pragma once
#include <optional>
#include <string>

#include "learn/function_norm.h"
#include "learn/part.h"

namespace moiety {

class Norm {
 public:
  // Declares "<the site's prefix><name>.weight", and perhaps its bias.
  Norm(const PartSite& site, const std::string& name);

  at::Tensor operator()(const at::Tensor& x, Pass& pass) const;   // x: [rows, d]
  SumAndNorm of_sum(const at::Tensor& x, const at::Tensor& y, Pass& pass) const;

 private:
  Arena* arena_;
  size_t weight_;
  std::optional<size_t> bias_;
  bool layer_;
  float epsilon_;
};

}  // namespace moiety
