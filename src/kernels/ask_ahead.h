// How weights come from memory: into which cache lines are asked that are wanted in a while, how far ahead, and whether two panels stream at once.
#pragma once
#include <cstddef>

namespace moiety {

enum class Ask : unsigned char {
  first,
  second,
  both,  // the second, and the first shortly before use
};

struct AskWeights {
  Ask into;
  size_t bytes;  // ahead
};

struct AskAhead {
  AskWeights one_row;  // weights that meet one row of activations
  AskWeights rows;     // those that meet more: memory would rest while their products are computed
  Ask cache;           // keys and values
  bool two_streams;    // two panels at once come faster than one after the other
};
// As was measured for this maker's cores (bench/peers.md).
extern const AskAhead ask_ahead;

}  // namespace moiety
