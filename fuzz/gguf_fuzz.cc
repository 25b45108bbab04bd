// A GGUF file of any bytes: parsed, or refused with an Error; what was parsed is a configuration, or is not.
#include "formats/gguf.h"
#include "fuzz/input.h"
#include "model/config_gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] { moiety::read_gguf_config(moiety::GgufFile::parse(moiety::as_file(data, size), "fuzz")); });
}
