// AdamW. Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
#pragma once
#include <cstddef>
#include <cstdint>

namespace moiety {

struct AdamW {
  float rate, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f, decay = 0;
  float gradient_scale = 1;  // every gradient is multiplied by it: 1, or less to clip their norm
  uint64_t step = 1;         // of this update, from 1: moments begin at zero and are corrected for it
};

// value, m, v: [n], changed in place.
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
//   value -= rate (m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + epsilon) + decay value)
void adamw(const AdamW& o, float* value, const float* gradient, float* m, float* v, size_t n);

// Sum of squares, in double, in an order that depends on n and the instruction set alone.
double sum_of_squares(const float* x, size_t n);

}  // namespace moiety
