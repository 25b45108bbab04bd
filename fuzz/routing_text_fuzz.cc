// A routing text of any bytes: what parses prints as a text that parses to the same.
#include <cstdlib>

#include "base/error.h"
#include "routing/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string text = moiety::RoutingPolicy::parse({reinterpret_cast<const char*>(data), size}, true).text();
    if (moiety::RoutingPolicy::parse(text, true).text() != text) std::abort();
  } catch (const moiety::Error&) {
  }
  return 0;
}
