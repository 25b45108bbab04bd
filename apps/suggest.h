// What to say where a command line cannot be read.
#pragma once
#include <string>
#include <vector>

#include "apps/verbs.h"

namespace moiety {

// The word among `known` that `word` was likely meant to be; "" if there is none like it.
std::string nearest(const std::string& word, const std::vector<std::string>& known);

// One line that names the fault, with the verb or option that was likely meant.
std::string explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words);

}  // namespace moiety
