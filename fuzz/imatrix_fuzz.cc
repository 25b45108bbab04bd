// An importance matrix of any bytes, in either layout: read, or refused with an Error.
#include "base/error.h"
#include "formats/imatrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto matrix = moiety::ImportanceMatrix::parse({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
    if (matrix.contains("a")) matrix.find("a", 1, 2, 4);
  } catch (const moiety::Error&) {
  }
  return 0;
}
