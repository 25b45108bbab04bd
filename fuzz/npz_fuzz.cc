// A .npz file of any bytes, read as a trace.
#include "fuzz/input.h"
#include "observe/routes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] { moiety::analyse(moiety::parse_routes(moiety::as_file(data, size), "fuzz")); });
}
