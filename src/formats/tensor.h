// A tensor as it lies in a file: a name, a type, a shape, and bytes that somebody else owns.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor_type.h"

namespace moiety {

struct Tensor {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<uint64_t> shape;       // outermost first, as PyTorch prints it; the last axis lies together in memory
  std::span<const std::byte> bytes;  // owned by the file that was opened

  uint64_t count() const {
    uint64_t n = 1;
    for (uint64_t extent : shape) n *= extent;
    return n;
  }
  uint64_t row_length() const { return shape.empty() ? 1 : shape.back(); }
};

// An Error if two tensors share bytes: no writer does that.
void check_apart(std::span<const Tensor> tensors, const std::string& origin);

}  // namespace moiety
