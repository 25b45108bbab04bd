// A parameter of the trainer as the canonical tensors that checkpoints have (model/names.h): gate and up stand in one here.
#pragma once
#include <string>
#include <vector>

#include "learn/arena.h"

namespace moiety {

// `count` matrices of [rows, cols], or vectors of [rows, 1], in a parameter's numbers.
struct ParameterPiece {
  std::string canonical;  // without "blk.N."
  size_t first, apart;    // numbers from the parameter's begin, and from one matrix to the next
  size_t count, rows, cols;
  bool transposed = false;  // the numbers of a column lie together
  bool logarithm = false;   // a number x of the tensor stands here as log(-x)
};
std::vector<ParameterPiece> pieces_of(const Parameter& p);
// Whether its first axis are experts that a router chooses from.
bool is_stack(const Parameter& p);
// "blk.3.", or empty: what stands before the canonical name.
std::string block_of(const Parameter& p);
// 3 of "blk.3."; only of a parameter in a block.
uint32_t layer_of(const Parameter& p);

}  // namespace moiety
