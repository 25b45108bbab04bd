// A parameter of the trainer as the matrices that checkpoints have: gate and up stand in one here.
#pragma once
#include <string>
#include <vector>

#include "learn/arena.h"

namespace moiety {

// A canonical matrix (model/names.h), or a stack of them by expert: rows of a parameter.
struct ParameterPiece {
  std::string canonical;  // without "blk.N."
  size_t first, apart;    // numbers from the parameter's begin, and from one expert to the next
  size_t experts;         // 0: no stack
  std::vector<uint64_t> shape;
};
std::vector<ParameterPiece> pieces_of(const Parameter& p);
// Whether its first axis are experts that a router chooses from.
bool is_stack(const Parameter& p);
// "blk.3.", or empty: what stands before the canonical name.
std::string block_of(const Parameter& p);
// 3 of "blk.3."; only of a parameter in a block.
uint32_t layer_of(const Parameter& p);

}  // namespace moiety
