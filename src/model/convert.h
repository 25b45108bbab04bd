// A checkpoint written anew: in the other format, or with other tensor types.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "formats/metadata.h"
#include "model/checkpoint.h"

namespace moiety {

struct ConvertOptions {
  bool to_hf = false;
  std::optional<TensorType> type;         // of matrices; nothing: as stored
  std::optional<TensorType> expert_type;  // of experts' matrices; nothing: as `type`
  std::function<void(size_t done, size_t all)> progress;
  std::function<void(Metadata&)> edit_metadata;  // GGUF: tokenizer and whatever else joins the keys
};

struct ConvertReport {
  size_t tensors = 0;
  std::vector<std::string> fallbacks;  // matrices whose rows a block does not divide, and what they got instead
};

// Streams tensor by tensor; `out` is a GGUF file or, with to_hf, a directory. Nothing half-written is left.
ConvertReport convert(Checkpoint& in, const std::filesystem::path& out, const ConvertOptions& options);

}  // namespace moiety
