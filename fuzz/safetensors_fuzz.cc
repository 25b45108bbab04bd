// A safetensors file of any bytes: parsed, or refused with an Error.
#include "formats/safetensors.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] { moiety::parse_safetensors(moiety::as_file(data, size), "fuzz"); });
}
