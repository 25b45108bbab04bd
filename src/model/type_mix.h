// Mixes: names like q4_k_m for which each tensor gets a type of its own, by the rules of llama.cpp's llama-quantize.
//
// The tensors that a mix names are those of a GGUF file; what is not a matrix of weights (norms, biases, routers, short convolutions)
// keeps its numbers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tensor_type.h"

namespace moiety {

struct TypeMix {
  std::string_view name;
  TensorType base;      // of what no rule speaks of
  uint32_t file_type;   // general.file_type
  bool pure = false;    // the base type for every matrix, whatever the rules say
};

// Case does not matter. Null for a name of no mix; a UsageError for a mix of llama.cpp's whose types have no encoder here.
const TypeMix* find_mix(std::string_view name);
const std::vector<TypeMix>& mixes();
// T of --type: a mix or, by a name that names no mix or with `pure`, one type for all. A UsageError if it is neither.
TypeMix read_type(const std::string& name, bool pure);

// What the rules look at besides a tensor's name.
struct MixedModel {
  uint32_t layers = 0, experts = 0;
  uint32_t query_groups = 1;       // heads that share a key, in the first layer
  bool seventy_billion = false;    // Llama or Qwen 2 with 80 layers and grouped heads
  bool tied_output = false;
  bool importance = false;         // an importance matrix is at hand
};

// The type of each tensor of a file, by its name and the length of its rows, before any fallback.
struct MixedTensor {
  std::string name;
  uint64_t row_length;
  bool stack;  // one matrix for each expert or head
};
std::vector<TensorType> mixed_types(const TypeMix& mix, const MixedModel& model, const std::vector<MixedTensor>& tensors);

// False for what stays exact: routers, norms, short convolutions, and whatever is no weight.
bool takes_mixed_type(std::string_view tensor);

// What a tensor gets whose rows of `length` the type's block does not divide; the type itself where it does.
TensorType type_for_rows(TensorType type, uint64_t length);

}  // namespace moiety
