// Embedding, all blocks, output norm: from rows to hidden states, and from hidden states to logits.
#pragma once
#include "model/step.h"

namespace moiety {

// hidden [rows, d_model]. Reads and extends the states of the rows' sequences. A non-finite activation stops the work with an Error
// that names the layer.
void forward(Step& step, Rows hidden);

// hidden [rows, d_model] before the output norm; logits [rows, vocab].
void logits_of(const Step& step, ConstRows hidden, Rows logits);

}  // namespace moiety
