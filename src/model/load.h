// From a file or directory to a Model.
#pragma once
#include <filesystem>
#include <memory>

#include "model/weights.h"

namespace moiety {

struct LoadOptions {
  bool check = false;             // look at every weight for NaN and infinity
  uint64_t memory_budget = 0;     // bytes for weights; more is refused before loading. 0: no limit
};

// A GGUF file (first shard of several is enough) or a Hugging Face directory.
std::shared_ptr<const Model> load_model(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace moiety
