// A linear map with a bias or without.
#pragma once
#include <optional>
#include <string>

#include "learn/function_bias.h"
#include "learn/function_linear.h"
#include "learn/part.h"

namespace moiety {

struct Projection {
  size_t weight = 0;  // [rows, cols]
  std::optional<size_t> bias = {};

  Projection() = default;
  // Declares "<the site's prefix><name>.weight", and perhaps its bias.
  Projection(const PartSite& site, const std::string& name, int64_t rows, int64_t cols, bool biased)
      : weight(site.arena.declare(site.prefix + name + ".weight", {rows, cols}, {0, site.deviation})) {
    if (biased) bias = site.arena.declare(site.prefix + name + ".bias", {rows}, {0, 0});
  }
};

// y of the weight with its bias added.
inline at::Tensor biased(const at::Tensor& y, const Projection& p, const Arena& arena, Pass& pass) { return p.bias ? add_bias(y, arena.value(*p.bias), pass) : y; }

// Of x, in the pass's precision.
inline at::Tensor project(const at::Tensor& x, const Projection& p, const Arena& arena, Pass& pass) {
  return biased(linear(x, arena.value(p.weight), pass, pass.precision), p, arena, pass);
}

}  // namespace moiety
