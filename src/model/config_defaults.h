// What a key of config.json means where the file leaves it out: released files do leave out what equals their family's default.
#pragma once
#include <nlohmann/json_fwd.hpp>

namespace moiety {

struct Family;

const nlohmann::json& config_defaults(const Family& family);

}  // namespace moiety
