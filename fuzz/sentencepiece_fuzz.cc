// A SentencePiece model of any bytes; what it makes must encode.
#include "base/error.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    moiety::tokenizer_from_sentencepiece({reinterpret_cast<const char*>(data), size}, "fuzz")->encode("Hello, \xc3\xa4 world 123");
  } catch (const moiety::Error&) {
  }
  return 0;
}
