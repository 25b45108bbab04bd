// A .npy file of any bytes.
#include "formats/npy.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] { moiety::parse_npy(moiety::as_file(data, size), "fuzz"); });
}
