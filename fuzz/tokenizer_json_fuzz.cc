// A tokenizer.json of any text; what it makes must encode, and go to GGUF and back.
#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_export.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace moiety;
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = tokenizer_from_json(json, "fuzz");
    const auto ids = tokenizer->encode("Hello, \xc3\xa4 world 123 <s>\xff");
    for (int32_t id : ids)
      if (id >= 0 && static_cast<size_t>(id) < tokenizer->size()) tokenizer->bytes_of(id);
    Metadata metadata("fuzz.gguf");
    export_tokenizer_file(parse_tokenizer_file(json, "fuzz"), *tokenizer, static_cast<uint32_t>(tokenizer->size()), metadata);
    tokenizer_from_gguf(metadata)->encode("Hello");
    metadata.erase(kTokenizerKey);
    file_from_gguf(metadata);
  } catch (const Error&) {
  }
  return 0;
}
