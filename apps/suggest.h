// What to say where a command line cannot be read.
#pragma once
#include <string>
#include <vector>

#include "apps/verbs.h"

namespace moiety {

// One line that names the fault, with the verb or option that was likely meant.
std::string explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words);

}  // namespace moiety
