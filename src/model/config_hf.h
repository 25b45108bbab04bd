// config.json, in the style of any release, as a Config.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/config.h"

namespace moiety {

// `origin` names the file in messages. Nested `text_config` is read; keys that an older or newer style spells otherwise too.
Config read_hf_config(const nlohmann::json& config, const nlohmann::json& generation, const std::string& origin);

}  // namespace moiety
