// The tokenizer of a GGUF file of any bytes; what it makes must encode, and give its own ids back as text.
#include "formats/gguf_parse.h"
#include "fuzz/input.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] {
    const auto tokenizer = moiety::tokenizer_from_gguf(moiety::parse_gguf(moiety::as_file(data, size), "fuzz").metadata);
    tokenizer->decode(tokenizer->encode("Hello, \xc3\xa4 world 123 <s>\xff"));
  });
}
