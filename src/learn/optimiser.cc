#include "learn/optimiser.h"

#include <algorithm>
#include <cmath>

namespace moiety {
namespace {

constexpr size_t piece = 1 << 16;  // numbers that a thread takes at a time

struct Segment {
  const Parameter* parameter;
  Motion motion;
  size_t at, count;
};

// All that moves; neighbours that move alike are one run of numbers, cut where a thread's piece ends.
std::vector<Segment> segments(const Arena& arena) {
  std::vector<Segment> out;
  for (const Parameter& p : arena.parameters()) {
    const size_t apart = p.count / p.motion.size();
    for (size_t first = 0, last; first < p.motion.size(); first = last) {
      last = first + 1;
      while (last < p.motion.size() && p.motion[last] == p.motion[first]) last++;
      if (p.motion[first].frozen) continue;
      for (size_t i = first * apart; i < last * apart; i += piece) out.push_back({&p, p.motion[first], p.at + i, std::min(piece, last * apart - i)});
    }
  }
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

void add_gradients(Arena& arena, float factor, Workers& workers) {
  const std::vector<Segment> all = segments(arena);
  workers.run(all.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) {
      float* weights = arena.values() + all[i].at;
      const float* gradients = arena.gradients() + all[i].at;
      for (size_t k = 0; k < all[i].count; k++) weights[k] += factor * gradients[k];
    }
  });
}

void move_parameters(Arena& arena, AdamW o, double norm, double clip, Workers& workers) {
  if (clip > 0 && norm > clip) o.gradient_scale = static_cast<float>(clip / norm);
  const std::vector<Segment> all = segments(arena);
  workers.run(all.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) {
      AdamW own = o;
      own.rate *= all[i].motion.rate;
      const Parameter& p = *all[i].parameter;
      own.decay *= p.shape.size() < 2 || p.name.ends_with(".bias") ? 0 : all[i].motion.decay;
      adamw(own, arena.values() + all[i].at, arena.gradients() + all[i].at, arena.means() + all[i].at, arena.squares() + all[i].at, all[i].count);
    }
  });
}

}  // namespace moiety
