#include "learn/intervals.h"

#include <cmath>
#include <limits>

namespace moiety {
namespace {

// Of Student's t the value that 97.5% lie below, by degrees of freedom; beyond 30 by the first terms of its expansion.
double student_t(size_t freedom) {
  constexpr double table[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314,
                              2.1199,  2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
  if (freedom <= std::size(table)) return table[freedom - 1];
  constexpr double z = 1.959964;
  return z + (z * z * z + z) / (4 * static_cast<double>(freedom));
}

}  // namespace

MeanInterval mean_interval(std::span<const double> values) {
  const double n = static_cast<double>(values.size());
  MeanInterval out{0, 0, values.size()};
  for (double v : values) out.mean += v / n;
  if (values.size() < 2) return {out.mean, std::numeric_limits<double>::infinity(), values.size()};
  double squares = 0;
  for (double v : values) squares += (v - out.mean) * (v - out.mean);
  out.half = student_t(values.size() - 1) * std::sqrt(squares / (n - 1) / n);
  return out;
}

Verdict verdict(const MeanInterval& d, bool lower, double margin) {
  const double sign = lower ? 1 : -1;
  if (d.count < 3) return Verdict::undecided;
  if (sign * d.mean + d.half < margin) return Verdict::holds;
  return sign * d.mean - d.half > margin ? Verdict::fails : Verdict::undecided;
}

}  // namespace moiety
