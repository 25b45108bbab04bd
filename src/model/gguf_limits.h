// What llama.cpp computes differently from a GGUF file: values for which it has no key, because it fixes them for an architecture; and what it can't open.
#pragma once
#include <string>
#include <vector>

#include "model/config.h"

namespace moiety {

// A line for each such value of a model. Nothing for a family that llama.cpp does not know, as it opens none.
std::vector<std::string> beyond_llama_cpp(const Config& config);

}  // namespace moiety
