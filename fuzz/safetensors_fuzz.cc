// A safetensors file of any bytes: parsed, or refused with an Error.
#include "base/error.h"
#include "formats/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    moiety::parse_safetensors({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  } catch (const moiety::Error&) {
  }
  return 0;
}
