// How the numbers of a tensor are stored: the types of GGUF, with its numbers, and those that only Hugging Face files have.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace moiety {

// Values below 1000 are GGUF's.
enum class TensorType : uint16_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40,
  q1_0 = 41,
  q2_0 = 42,
  f8_e4m3 = 1000,
  f8_e5m2 = 1001,
  u8 = 1002,
  boolean = 1003,
};

struct TypeInfo {
  TensorType type;
  std::string_view name;   // as GGUF tools write it: "Q4_K"
  uint32_t block;          // numbers in a block; a row is a whole number of blocks
  uint32_t block_bytes;
};

// Null for a number that names no type.
const TypeInfo* find_type(uint32_t number);
const TypeInfo& type_info(TensorType type);
// Case does not matter: "q4_k", "Q4_K", "bf16".
std::optional<TensorType> type_by_name(std::string_view name);

// Bytes of `count` numbers; count must be a multiple of the block.
inline size_t bytes_of(TensorType type, size_t count) {
  const TypeInfo& info = type_info(type);
  return count / info.block * info.block_bytes;
}

}  // namespace moiety
