// Rows of probabilities and their gradients; one row at a time.
#pragma once
#include <cmath>
#include <cstddef>

namespace moiety {

// log of the sum of exp(scale x[i])
float log_sum_exp(const float* x, size_t n, float scale);
// The same, and x[i] = exp(scale x[i] - most), where most is the largest scale x[i].
struct ExponentialSum {
  float most, sum;
  float log() const { return most + std::log(sum); }
};
ExponentialSum exponentials_and_sum(float* x, size_t n, float scale);
// x[i] = exp(scale x[i] - log_sum) * factor
void exponentials(float* x, size_t n, float scale, float log_sum, float factor);
// d[i] = scale * p[i] * (d[i] - mean)
void softmax_gradient(const float* p, float* d, size_t n, float scale, float mean);

}  // namespace moiety
