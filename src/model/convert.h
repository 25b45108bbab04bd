// A checkpoint written anew: in the other format, or with other tensor types.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "formats/metadata.h"
#include "model/checkpoint.h"
#include "model/load.h"

namespace moiety {

struct ConvertOptions {
  bool to_hf = false;
  std::optional<TensorType> type;         // of matrices; nothing: as stored
  std::optional<TensorType> expert_type;  // of experts' matrices; nothing: as `type`
  // Another model than the source's, made of its tensors: its config.json (empty: the source's own).
  nlohmann::json target_config;
  // Where a canonical tensor of the target comes from: a name of the source and which of its matrices. Null: the same one.
  struct Origin {
    std::string name;  // empty: nowhere, `make_row` makes it
    size_t i, count;
  };
  std::function<Origin(const CanonicalTensor&, size_t i)> origin;
  std::function<void(const CanonicalTensor&, size_t i, size_t row, std::span<float>)> make_row;  // of tensors from nowhere
  std::function<bool(const CanonicalTensor&, size_t i, size_t row, std::span<float>)> edit_row;  // asked with an empty span: does it edit?
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
