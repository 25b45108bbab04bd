// A checkpoint written anew: in the other format, or with other tensor types.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "formats/imatrix.h"
#include "formats/metadata.h"
#include "model/checkpoint.h"
#include "model/load.h"
#include "model/type_mix.h"
#include "model/type_rules.h"

namespace moiety {

struct ConvertOptions {
  bool to_hf = false;
  std::optional<TypeMix> type;         // of matrices; nothing: as stored
  std::optional<TypeMix> expert_type;  // of experts' matrices; nothing: as `type`
  std::shared_ptr<TypeRules> rules;    // stronger than both
  std::shared_ptr<const ImportanceMatrix> importance;
  size_t threads = 0;                  // 0: all
  // Another model than the source's, made of its tensors: its config.json (empty: the source's own).
  nlohmann::json target_config;
  // Where a canonical tensor of the target comes from: a name of the source and which of its matrices. Null: the same one.
  struct Origin {
    std::string name;  // empty: nowhere, `make_row` makes it
    size_t i, count;
  };
  std::function<Origin(const CanonicalTensor&, size_t i)> origin;
  // Rows of tensors from nowhere, and changes to others, in canonical numbers, whose rows count as in the source (asked with an empty span: does it change that tensor?).
  // Called by all threads.
  std::function<void(const CanonicalTensor&, size_t i, size_t row, std::span<float>)> make_row;
  std::function<bool(const CanonicalTensor&, size_t i, size_t row, std::span<float>)> edit_row;
  OnProgress progress;  // in bytes
  std::function<void(Metadata&)> edit_metadata;  // GGUF: tokenizer and whatever else joins the keys
  std::function<void(const std::filesystem::path& directory)> add_companions;  // Hugging Face: tokenizer and whatever else joins the directory
};

struct ConvertReport {
  // Tensors of one type that became tensors of another, or stayed.
  struct Change {
    TensorType from, to;
    size_t tensors = 0;
    uint64_t bytes_before = 0, bytes_after = 0;
  };
  std::vector<Change> changes;
  size_t tensors = 0;
  uint64_t bytes = 0;
  std::vector<std::string> warnings;  // what llama.cpp will compute differently
  std::vector<std::string> notes;     // matrices that got another type than was asked, tensors that were skipped, importance that was missing
};

// Streams tensor by tensor; `out` is a GGUF file or, with to_hf, a directory. Nothing half-written is left. An `out` that exists is
// replaced if it is empty or of the kind that is written, and is not the source.
ConvertReport convert(Checkpoint& in, const std::filesystem::path& out, const ConvertOptions& options);

// A UsageError unless `out` may be written: it is not there, or empty, or of the kind that is written, and not what is read.
void check_output(const Checkpoint& in, const std::filesystem::path& out, bool to_hf);

}  // namespace moiety
