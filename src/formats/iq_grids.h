// The points that the IQ types choose from: groups of 8 (or 4) small numbers that an index names.
//
// A point is packed in 16 bits, first number lowest: eight codes of 2 bits, or four of 4 bits. What a code means differs by type:
//
//   iq2_*    8 numbers, codes 0 1 2      ->  8 25 43
//   iq3_xxs  4 numbers, codes 0 to 7     ->  4 12 20 28 36 44 52 62
//   iq3_s    4 numbers, codes 0 to 7     ->  1 3 5 7 9 11 13 15
//   iq1      8 numbers, codes 0 1 2      ->  -1 0 1
#pragma once
#include <array>
#include <cstdint>

namespace moiety {

extern const std::array<uint16_t, 256> iq2_xxs_grid;
extern const std::array<uint16_t, 512> iq2_xs_grid;
extern const std::array<uint16_t, 1024> iq2_s_grid;
extern const std::array<uint16_t, 256> iq3_xxs_grid;
extern const std::array<uint16_t, 512> iq3_s_grid;
extern const std::array<uint16_t, 2048> iq1_grid;  // of both IQ1_S and IQ1_M

}  // namespace moiety
