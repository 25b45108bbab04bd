// Random blocks of the quantised types: any bytes are codes, scales are of moderate size.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "formats/tensor_type.h"

namespace moiety {

// Where the float16 scale of a block lies; IQ1_M spreads it over four words, the FP4 types have none.
inline size_t scale_at(TensorType type) {
  switch (type) {
    case TensorType::q2_k: return 80;
    case TensorType::q3_k: return 108;
    case TensorType::q6_k: return 208;
    case TensorType::tq1_0: return 52;
    case TensorType::tq2_0: return 64;
    default: return 0;
  }
}
inline void set_scale(TensorType type, std::byte* block, uint16_t bits) {
  if (type != TensorType::iq1_m) return (void)std::memcpy(block + scale_at(type), &bits, 2);
  for (size_t i = 0; i < 4; i++) {
    std::byte& top = block[49 + 2 * i];
    top = (top & std::byte{15}) | static_cast<std::byte>((bits >> 4 * i & 15) << 4);
  }
}

inline std::vector<std::byte> random_blocks(TensorType type, size_t numbers, std::mt19937& random) {
  std::vector<std::byte> bytes(bytes_of(type, numbers));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random() & 255);
  const bool minimum = type == TensorType::q4_1 || type == TensorType::q5_1 || type == TensorType::q4_k || type == TensorType::q5_k || type == TensorType::q2_k;
  auto scale = [&] { return static_cast<uint16_t>(0x2400 + random() % 1024 + (random() % 2 << 15)); };  // +-2^-6 to 2^-5
  for (size_t b = 0; b < bytes.size(); b += type_info(type).block_bytes) {
    if (type == TensorType::mxfp4) bytes[b] = static_cast<std::byte>(118 + random() % 8);
    else if (type != TensorType::nvfp4) set_scale(type, bytes.data() + b, scale());
    const uint16_t least = scale();
    if (minimum) std::memcpy(bytes.data() + b + scale_at(type) + 2, &least, 2);
  }
  return bytes;
}

}  // namespace moiety
