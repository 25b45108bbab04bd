// The output head with its loss, and the embedding that it may share its weight with.
#pragma once
#include "learn/pass.h"

namespace moiety {

// The mean over rows with a target (>= 0) of -log p(target) + z_loss * (log sum exp)^2.   x: [rows, d]; head: [vocabulary, d]; targets: [rows] int32
struct HeadResult {
  at::Tensor loss;      // scalar, in the graph
  at::Tensor nll;       // [rows], outside it
  at::Tensor log_sums;  // [rows], outside it
};
HeadResult head_loss(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, float z_loss, Pass& pass);
HeadResult plain_head_loss(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, float z_loss);

// Rows of a table.   ids: [rows] int32; table: [vocabulary, d]
at::Tensor embedding(const at::Tensor& ids, const at::Tensor& table, Pass& pass);

}  // namespace moiety
