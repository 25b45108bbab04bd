// A mixture of experts out of a dense model: copies of each FFN behind a random router.
#pragma once
#include <filesystem>

#include "model/convert.h"

namespace moiety {

struct UpcycleOptions {
  uint32_t experts = 8, top_k = 2;
  double noise = 0;  // standard deviation of what is added to experts' weights, relative to each row's own
  uint64_t seed = 0;
};

// Komatsuzaki et al. 2022, "Sparse Upcycling", arXiv 2212.05055. With renormalised weights and no noise the result computes what the
// dense model computes. `convert`: format, types and what else a writing takes; its model is set here.
ConvertReport upcycle(Checkpoint& dense, const std::filesystem::path& out, const UpcycleOptions& options, ConvertOptions convert);

}  // namespace moiety
