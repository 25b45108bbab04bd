// The engine's routing pipeline inside the graph: from router logits to the weights of a ragged plan.
#pragma once
#include <memory>
#include <vector>

#include "gradients/grouped_experts.h"
#include "learn/pass.h"
#include "routing/pipeline.h"

namespace moiety {

// A site's plan for all rows of a step.
struct RoutedRows {
  at::Tensor weight;  // [slots] row by row, in the graph
  std::vector<int64_t> first;   // [rows + 1]
  std::vector<int32_t> expert;  // [slots], ascending in a row
  std::shared_ptr<const ExpertSlots> slots;
  std::vector<int64_t> load;    // [experts] rows that each serves
};

// logits: [rows, experts]; features: [rows, d], the router's input, for stages that look at it. The pipeline outlives the graph.
RoutedRows route(const Pipeline& pipeline, const at::Tensor& logits, const at::Tensor& features, Pass& pass);

}  // namespace moiety
