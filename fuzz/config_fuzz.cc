// A config.json of any text: a configuration that can be computed, or an Error.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "model/config_hf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const nlohmann::json config = nlohmann::json::parse(data, data + size, nullptr, false);
  if (config.is_discarded() || !config.is_object()) return 0;
  try {
    moiety::read_hf_config(config, nlohmann::json::object(), "fuzz");
  } catch (const moiety::Error&) {
  }
  return 0;
}
