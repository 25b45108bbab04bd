#include "learn/places.h"

#include <algorithm>
#include <cmath>

namespace moiety {

void Place::read(size_t i, size_t row, std::span<float> out) const {
  const float* at = numbers + i * apart;
  if (!transposed) std::copy_n(at + row * cols, cols, out.begin());
  else for (size_t c = 0; c < cols; c++) out[c] = at[c * rows + row];
  if (logarithm)
    for (float& v : out.first(cols)) v = -std::exp(v);
}

void Place::write(size_t i, size_t row, std::span<const float> in) const {
  float* at = numbers + i * apart;
  if (!transposed) std::copy_n(in.begin(), cols, at + row * cols);
  else for (size_t c = 0; c < cols; c++) at[c * rows + row] = in[c];
  if (logarithm) at[row] = std::log(-at[row]);
}

Places places_of(Arena& arena, const Buffers& buffers) {
  Places out;
  for (const Parameter& p : arena.parameters())
    for (const ParameterPiece& piece : pieces_of(p))
      out.emplace(block_of(p) + piece.canonical, Place{arena.values() + p.at + piece.first, piece.apart, piece.count, piece.rows, piece.cols, piece.transposed, piece.logarithm, p.frozen()});
  for (const auto& [name, numbers] : buffers) out.emplace(name, Place{numbers.data(), 0, 1, numbers.size(), 1});
  return out;
}

}  // namespace moiety
