// What a model remembers of a sequence: token ids, and per block of the schedule a cache or a recurrent state.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/huge_pages.h"
#include "model/rope.h"
#include "routing/pipeline.h"

namespace moiety {

struct BlockState {
  LargeBytes keys, values;              // [positions] rows of the cache's type; latent attention keeps all in keys
  std::vector<float> conv;              // [taps - 1, channels] the last inputs of the convolution, oldest first
  std::vector<float> delta;             // [value heads, key size, value size]
};

// A routing policy bound to all sites of a model; several sequences may share one.
struct BoundRouting {
  std::string text;
  std::vector<Pipeline> sites;  // by Site::index
};

struct SequenceState {
  std::vector<int32_t> ids;  // computed so far
  std::vector<BlockState> blocks;
  std::vector<std::vector<float>> site_memory;  // by site, where a stage keeps some
  std::vector<uint32_t> length_classes;         // by rope
  std::vector<RopeFrequencies> frequencies;     // by rope, of that class
  std::shared_ptr<const BoundRouting> routing;
  uint64_t seed = 0;
  uint32_t declared_length = 0;  // ropes that depend on the final length take this one, if it is larger
};

}  // namespace moiety
