// Cosines and sines of rotary position embeddings, with every scaling that the families use.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
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

// Where a row of a canonical tensor (without its block) stands in a checkpoint whose pairs are in the other order: `interleaved`, `row` counts in
// (2i, 2i + 1) and the answer in (i, i + half), else the other way. Rows that aren't rotated stay.
size_t other_order_row(const Config& config, std::string_view tensor, size_t row, bool interleaved);

}  // namespace moiety
