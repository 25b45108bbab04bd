// Token ids of any text: as JSON, and as on a command line.
#include "fuzz/input.h"
#include "text/id_lists.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  moiety::refuses_with_error([&] { moiety::parse_id_lists(moiety::as_text(data, size), "fuzz"); });
  return moiety::refuses_with_error([&] { moiety::parse_ids(std::string(moiety::as_text(data, size))); });
}
