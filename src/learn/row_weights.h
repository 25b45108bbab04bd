// Choices as a matrix: for experts so cheap that all of them are computed for every row.
#pragma once
#include "gradients/grouped_experts.h"
#include "learn/tensor.h"

namespace moiety {

// The weight that each row gives each expert, 0 for those it did not choose.   weight: [slots] row by row; result: [rows, experts], in the graph
at::Tensor row_weights(const ExpertSlots& slots, const at::Tensor& weight);

}  // namespace moiety
