// What `moiety --version` prints.
#pragma once
#include <string>

namespace moiety {

std::string version_text();

struct Commands;
void add_all_verbs(Commands& commands);  // in the order that --help shows

}  // namespace moiety
