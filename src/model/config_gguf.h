// The keys of a GGUF file as a Config.
#pragma once
#include "formats/gguf.h"
#include "model/config.h"

namespace moiety {

Config read_gguf_config(const GgufFile& file);

}  // namespace moiety
