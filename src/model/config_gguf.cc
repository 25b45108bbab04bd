#include "model/config_gguf.h"

#include "base/error.h"

namespace moiety {

Config read_gguf_config(const GgufFile& file) { throw Error("{}: GGUF models are not read yet", file.path().string()); }

}  // namespace moiety
