// Passes over a row of logits, for those who draw from it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace moiety {

// The largest number; NaN where one is NaN or plus infinity. Of no numbers minus infinity.
float largest(std::span<const float> x);
// A number that at least k numbers reach, mostly not many more; minus infinity where k > x.size() / 64.
float reached_by(std::span<const float> x, size_t k);
// Places of the numbers >= least, ascending.
std::vector<int32_t> places_from(std::span<const float> x, float least);
// The sum of exp((x - top) * factor), in double precision; minus infinity adds nothing.   factor > 0
double sum_of_exp(std::span<const float> x, float top, double factor);

}  // namespace moiety
