// What a model will take of the machine's memory, before any of it is taken.
#pragma once
#include "engine/session.h"
#include "model/config.h"

namespace moiety {

struct MemoryNeed {
  uint64_t weight_bytes = 0;
  uint64_t cache_bytes = 0;  // of one sequence as long as the context
  uint64_t work_bytes = 0;   // activations of one chunk, a few rows of logits, the vocabulary, the program itself
  uint64_t total() const { return weight_bytes + cache_bytes + work_bytes; }
};

// `weight_bytes`: as they lie in the file. An estimate from above.
MemoryNeed memory_need(const Config& config, uint64_t weight_bytes, const SessionOptions& options);

}  // namespace moiety
