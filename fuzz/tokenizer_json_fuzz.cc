// A tokenizer.json of any text; what it makes must encode and decode.
#include "base/error.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto tokenizer = moiety::tokenizer_from_json({reinterpret_cast<const char*>(data), size}, "fuzz");
    const auto ids = tokenizer->encode("Hello, \xc3\xa4 world 123 <s>");
    for (int32_t id : ids)
      if (id >= 0 && static_cast<size_t>(id) < tokenizer->size()) tokenizer->bytes_of(id);
  } catch (const moiety::Error&) {
  }
  return 0;
}
