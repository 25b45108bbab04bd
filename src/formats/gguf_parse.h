// The header of one GGUF file, out of memory: what the reader and the fuzzer share.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "formats/metadata.h"
#include "formats/tensor.h"

namespace moiety {

struct GgufContents {
  Metadata metadata;
  std::vector<Tensor> tensors;  // views of `file`
};

// Believes nothing: every count, length, offset and shape is checked against the file's size. `origin` names it in messages.
GgufContents parse_gguf(std::span<const std::byte> file, const std::string& origin);

}  // namespace moiety
