// Means of a few runs, with what their spread says.
#pragma once
#include <span>
#include <vector>

namespace moiety {

// Of n numbers: the mean, and how far the 95% interval of Student's t reaches to each side; infinite for one number.
struct MeanInterval {
  double mean = 0, half = 0;
  size_t count = 0;
  double low() const { return mean - half; }
  double high() const { return mean + half; }
};
MeanInterval mean_interval(std::span<const double> values);

enum class Verdict { holds, fails, undecided };
// Of the differences of pairs, a less b: where all of the interval is below the margin it holds, where all is above it fails. `lower` false: the other way.
// Fewer than three pairs decide nothing.
Verdict verdict(const MeanInterval& difference, bool lower, double margin);

}  // namespace moiety
