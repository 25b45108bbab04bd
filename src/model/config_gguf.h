// The keys of a GGUF file as a Config, by way of the config.json that a release of the family would have: one place knows what a
// family's keys mean.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "formats/gguf.h"
#include "model/config.h"

namespace moiety {

Config read_gguf_config(const GgufFile& file);

// The config.json of the model in a GGUF file: that which the file carries (key moiety.config), or one made from llama.cpp's keys.
nlohmann::json config_json_of(const GgufFile& file);

// llama.cpp's keys for a model of that name, and moiety.config with the whole of `config_json`.
Metadata gguf_metadata(const Config& config, const nlohmann::json& config_json, const std::string& name);

}  // namespace moiety
