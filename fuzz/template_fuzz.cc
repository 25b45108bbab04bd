// A chat template of any text, rendered with a conversation.
#include <nlohmann/json.hpp>

#include "fuzz/input.h"
#include "text/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto variables = nlohmann::ordered_json::parse(
      R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}], "bos_token": "<s>", "eos_token": "</s>",
          "add_generation_prompt": true, "tools": null})");
  if (size > 4096) return 0;
  return moiety::refuses_with_error([&] { moiety::Template::parse(moiety::as_text(data, size), "fuzz").render(variables); });
}
