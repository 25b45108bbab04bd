// A tokenizer.json of any text, and after a NUL a tokenizer_config.json; what they make must encode, and go to GGUF and back.
#include "fuzz/input.h"
#include "text/tokenizer.h"
#include "text/tokenizer_export.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moiety;
  const std::string_view text = as_text(data, size), file = text.substr(0, text.find('\0'));
  const std::string_view config = file.size() < text.size() ? text.substr(file.size() + 1) : "";
  return refuses_with_error([&] {
    const auto tokenizer = tokenizer_from_json(file, "fuzz", config);
    tokenizer->decode(tokenizer->encode("Hello, \xc3\xa4 world 123 <s>\xff"));
    Metadata metadata("fuzz.gguf");
    export_tokenizer_file(parse_tokenizer_file(file, "fuzz"), *tokenizer, static_cast<uint32_t>(tokenizer->size()), metadata);
    tokenizer_from_gguf(metadata)->encode("Hello");
    metadata.erase(kTokenizerKey);
    file_from_gguf(metadata);
  });
}
