#include "model/names.h"

namespace moiety {

std::vector<TensorName> gguf_names(const Config&) { return {}; }

}  // namespace moiety
