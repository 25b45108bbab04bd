// Multiple-choice questions of any text.
#include "fuzz/input.h"
#include "observe/evaluate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] { moiety::parse_choices(moiety::as_text(data, size), "fuzz"); });
}
