// The engine's routing pipeline inside the graph: from router logits to the weights of a ragged plan.
#pragma once
#include <memory>
#include <vector>

#include "gradients/grouped_experts.h"
#include "learn/pass.h"
#include "routing/pipeline.h"

namespace moiety {

// What stands beside the rows that are routed, for stages that look at it.
struct RoutedInput {
  uint32_t site = 0, layer = 0;
  int64_t length = 0;  // rows of a sequence, which follow each other; 0: all
  at::Tensor ids;      // [rows] int32 of tokens, or undefined
  uint64_t seed = 0;   // of random stages: the first sequence's, the others' follow
};

// A site's plan for all rows of a step.
struct RoutedRows {
  at::Tensor weight;  // [slots] row by row, in the graph
  std::vector<int64_t> first;   // [rows + 1]
  std::vector<int32_t> expert;  // [slots], ascending in a row
  std::shared_ptr<const ExpertSlots> slots;
  std::vector<int64_t> load;    // [experts] rows that chose each; a stage for training may have left some of them without (capacity)
  int64_t dropped = 0;          // choices that were left without
};

// The row of each choice.   [slots] int64
at::Tensor rows_of_choices(const RoutedRows& routed);

// logits: [rows, experts], undefined for a pipeline that needs none; features: [rows, d], the router's input. The pipeline outlives the graph.
RoutedRows route(const Pipeline& pipeline, const at::Tensor& logits, const at::Tensor& features, const RoutedInput& beside, Pass& pass);

}  // namespace moiety
