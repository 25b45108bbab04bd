// The codecs as C functions, for the Python tests to call.
#include "base/error.h"
#include "formats/codec.h"

using namespace moiety;

extern "C" {

// 0 when done; 1 when the type has no such codec.
int moiety_decode(uint32_t type, const void* bytes, float* out, size_t count) {
  if (!find_type(type) || !can_decode(static_cast<TensorType>(type))) return 1;
  decode(static_cast<TensorType>(type), static_cast<const std::byte*>(bytes), {out, count});
  return 0;
}

int moiety_encode(uint32_t type, const float* row, const float* importance, size_t count, void* out) {
  if (!find_type(type) || !can_encode(static_cast<TensorType>(type))) return 1;
  encode_row(static_cast<TensorType>(type), {row, count}, {importance, importance ? count : 0}, static_cast<std::byte*>(out));
  return 0;
}

uint32_t moiety_block(uint32_t type) { return find_type(type) ? find_type(type)->block : 0; }
uint32_t moiety_block_bytes(uint32_t type) { return find_type(type) ? find_type(type)->block_bytes : 0; }
}
