// The 16 values that four bits name, in the types that look them up.
#pragma once
#include <array>
#include <bit>
#include <cstdint>

namespace moiety {

using SixteenValues = std::array<float, 16>;

// E2M1 doubled, so that all are whole; the scales are halved in turn (OCP Microscaling Formats 1.0, section 5.3.3).
constexpr SixteenValues fp4_values = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
// The curve of IQ4_NL and IQ4_XS: denser around zero.
constexpr SixteenValues iq4_values = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// 2^(bits - 128), which for the two lowest is subnormal.
inline float half_e8m0(uint32_t bits) { return std::bit_cast<float>(bits < 2 ? 0x200000u << bits : (bits - 1) << 23); }

}  // namespace moiety
