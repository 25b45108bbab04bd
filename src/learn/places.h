// Where the numbers of a model's canonical tensors (model/names.h) lie among what is trained.
#pragma once
#include <span>
#include <string>
#include <unordered_map>

#include "learn/checkpoint.h"
#include "learn/pieces.h"

namespace moiety {

// A canonical tensor: `count` matrices of [rows, cols].
struct Place {
  float* numbers;
  size_t apart;  // from one matrix to the next
  size_t count, rows, cols;
  bool transposed = false, logarithm = false;  // as a piece's
  bool frozen = false;                         // keeps what was read

  void read(size_t i, size_t row, std::span<float> out) const;
  void write(size_t i, size_t row, std::span<const float> in) const;
};

// Of all parameters and buffers, by canonical names with their blocks.
using Places = std::unordered_map<std::string, Place>;
Places places_of(Arena& arena, const Buffers& buffers);

}  // namespace moiety
