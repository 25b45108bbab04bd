// A config.json of any text, and after a NUL a generation_config.json: a configuration that can be computed, or an Error.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "fuzz/input.h"
#include "model/config_hf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = moiety::as_text(data, size), config = text.substr(0, text.find('\0'));
  const std::string_view generation = config.size() < text.size() ? text.substr(config.size() + 1) : "{}";
  return moiety::refuses_with_error(
      [&] { moiety::read_hf_config(moiety::parse_json(config, "fuzz"), moiety::parse_json(generation, "fuzz"), "fuzz"); });
}
