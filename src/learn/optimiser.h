// Moves all parameters of an arena by AdamW, with the norm of their gradients clipped.
#pragma once
#include "gradients/adamw.h"
#include "learn/arena.h"

namespace moiety {

// Of all gradients together.
double gradient_norm(Arena& arena, Workers& workers);

// `clip`: gradients whose norm is larger are made that long; 0: never. Weight decay leaves vectors alone (norms).
void move_parameters(Arena& arena, AdamW o, double norm, double clip, Workers& workers);

// To everything that moves: weights += factor * gradients.
void add_gradients(Arena& arena, float factor, Workers& workers);

}  // namespace moiety
