// A .npy file of any bytes.
#include "base/error.h"
#include "formats/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    moiety::parse_npy({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  } catch (const moiety::Error&) {
  }
  return 0;
}
