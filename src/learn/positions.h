// The rotary positions that an attention's table describes: `rope` is the base, or `rope_frequencies` has an angle a position for each pair, and
// `rope_factor` multiplies cosines and sines (what scaled positions of a pretrained model come to).
#pragma once
#include "learn/description.h"
#include "learn/function_rope.h"

namespace moiety {

// size: numbers of a head that turn.
RopeTable read_positions(const Table& table, int64_t context, int64_t size, double base);

}  // namespace moiety
