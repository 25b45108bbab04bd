// A model.safetensors.index.json of any text.
#include "formats/hf_directory.h"
#include "fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] { moiety::parse_shard_index(moiety::as_text(data, size), "fuzz"); });
}
