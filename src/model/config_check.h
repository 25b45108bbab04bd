// Whether a configuration can be computed at all, before anything is allocated by it.
#pragma once
#include <string>

#include "model/config.h"

namespace moiety {

// Throws an Error that names `origin` and the quantity.
void check_config(const Config& config, const std::string& origin);

}  // namespace moiety
