// A routing text of any bytes: what parses prints as a text that parses to the same.
#include <cstdlib>

#include "fuzz/input.h"
#include "routing/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return moiety::refuses_with_error([&] {
    const std::string text = moiety::RoutingPolicy::parse(std::string(moiety::as_text(data, size)), moiety::Allow::training).text();
    if (moiety::RoutingPolicy::parse(text, moiety::Allow::training).text() != text) std::abort();
  });
}
