// Into which cache lines are asked that are wanted in a while.
#pragma once

namespace moiety {

enum class Ask : unsigned char {
  nothing,  // what the core reads ahead of its own accord is faster
  first,
  second,
  both,  // the second, and the first shortly before use
};

struct AskAhead {
  Ask one_row;  // weights that meet one row of activations
  Ask rows;     // those that meet more, and while they are multiplied memory would rest
  Ask cache;    // keys and values
};
// As was measured for this maker's cores (bench/peers.md).
extern const AskAhead ask_ahead;

}  // namespace moiety
