// The grids of the IQ types with their codes replaced by numbers, and the signs that go with a point.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/iq_grids.h"

namespace moiety {

template <size_t points, size_t numbers>
using Grid = std::array<std::array<int8_t, numbers>, points>;

// What the codes of a grid stand for.
inline constexpr std::array<int8_t, 3> two_bit = {8, 25, 43}, ternary = {-1, 0, 1};
inline constexpr std::array<int8_t, 8> xxs_three_bit = {4, 12, 20, 28, 36, 44, 52, 62}, s_three_bit = {1, 3, 5, 7, 9, 11, 13, 15};

template <size_t numbers, size_t points, size_t codes>
Grid<points, numbers> unpack(const std::array<uint16_t, points>& packed, const std::array<int8_t, codes>& meaning) {
  constexpr uint32_t bits = 16 / numbers;
  Grid<points, numbers> grid;
  for (size_t p = 0; p < points; p++)
    for (size_t i = 0; i < numbers; i++) grid[p][i] = meaning.at(packed[p] >> (bits * i) & ((1u << bits) - 1));
  return grid;
}

// Seven stored signs; the eighth makes the number of minuses even.
constexpr uint32_t eight_signs(uint32_t seven) {
  seven &= 127;
  uint32_t odd = seven ^ seven >> 4;
  odd ^= odd >> 2;
  return seven | ((odd ^ odd >> 1) & 1) << 7;
}

}  // namespace moiety
