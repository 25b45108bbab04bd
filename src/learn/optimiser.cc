#include "learn/optimiser.h"

#include <algorithm>
#include <cmath>

namespace moiety {
namespace {

constexpr size_t piece = 1 << 16;  // numbers that a thread takes at a time

struct Segment {
  const Parameter* parameter;
  size_t at, count;
};

std::vector<Segment> segments(const Arena& arena) {
  std::vector<Segment> out;
  for (const Parameter& p : arena.parameters())
    if (!p.frozen)
      for (size_t i = 0; i < p.count; i += piece) out.push_back({&p, p.at + i, std::min(piece, p.count - i)});
  return out;
}

}  // namespace

double gradient_norm(Arena& arena, Workers& workers) {
  const std::vector<Segment> all = segments(arena);
  std::vector<double> sums(all.size());
  workers.run(all.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) sums[i] = sum_of_squares(arena.gradients() + all[i].at, all[i].count);
  });
  double sum = 0;
  for (double s : sums) sum += s;
  return std::sqrt(sum);
}

void move_parameters(Arena& arena, AdamW o, double norm, double clip, Workers& workers) {
  if (clip > 0 && norm > clip) o.gradient_scale = static_cast<float>(clip / norm);
  const std::vector<Segment> all = segments(arena);
  workers.run(all.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) {
      const Parameter& p = *all[i].parameter;
      AdamW own = o;
      own.rate *= p.rate;
      own.decay *= p.shape.size() < 2 ? 0 : p.decay;
      adamw(own, arena.values() + all[i].at, arena.gradients() + all[i].at, arena.means() + all[i].at, arena.squares() + all[i].at, all[i].count);
    }
  });
}

}  // namespace moiety
