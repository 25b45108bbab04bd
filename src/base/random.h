// Random numbers that depend on their key alone: no state, no order, so that a draw is the same whatever else runs.
//
// Philox4x32-10: ten rounds of multiplication over a counter of four words and a key of two. Salmon, Moraes, Dror, Shaw 2011,
// "Parallel Random Numbers: As Easy as 1, 2, 3", section 3.3.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>

namespace moiety {

constexpr std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; round++) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

// Who draws: draws of different streams are independent. New users take new numbers.
enum class RandomStream : uint32_t { sampling = 1, routing = 2, initial_weights = 3, data_source = 4, data_order = 5, data_split = 6, shuffle = 7 };

// One draw in [0, 1), of 53 bits. `position` is the token's place in its sequence; `index` tells several draws of a place apart.
constexpr double uniform(uint64_t seed, uint64_t position, RandomStream stream, uint32_t index = 0) {
  const auto words = philox4x32(
      {static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), static_cast<uint32_t>(stream), index},
      {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<double>((uint64_t{words[0]} << 32 | words[1]) >> 11) * 0x1p-53;
}

// A standard normal number, by Box and Muller 1958, of draws 2 index and 2 index + 1.
inline float standard_normal(uint64_t seed, uint64_t position, RandomStream stream, uint32_t index) {
  const double u = 1 - uniform(seed, position, stream, 2 * index), v = uniform(seed, position, stream, 2 * index + 1);
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * 3.14159265358979323846 * v));
}

}  // namespace moiety
