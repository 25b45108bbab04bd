// Cosines and sines of rotary position embeddings, with every scaling that the families use.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"

namespace moiety {

// Frequencies of one rope for sequences of one length class.
struct RopeFrequencies {
  std::vector<float> inverse;  // [size / 2]
  float factor = 1;            // times cosines and sines
};

// Lengths of one class share their frequencies. Where frequencies do not depend on the length, every length is in class 0.
uint32_t rope_length_class(const Rope& rope, uint32_t length);

// `length_class`: as rope_length_class gave it.
RopeFrequencies rope_frequencies(const Rope& rope, uint32_t length_class);

// cosines, sines: [size / 2]
void rope_row(const RopeFrequencies& frequencies, uint32_t position, std::span<float> cosines, std::span<float> sines);

// Where number i of a head's rotated ones stands in the other order of pairs: `to_interleaved`, i counts in (2i, 2i + 1) and the answer in
// (i, i + half), else the other way.
size_t other_pair_order(size_t i, size_t half, bool to_interleaved);

}  // namespace moiety
