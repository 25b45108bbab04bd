// Weights that no result can come from: NaN and infinity.
#pragma once
#include <cstddef>
#include <string>

#include "kernels/matrix.h"

namespace moiety {

// An Error if rows [begin, end) of `m`, in rows as stored, hold any. `place` names file and tensor: "model.gguf: tensor output.weight".
void check_finite(const Matrix& m, size_t begin, size_t end, const std::string& place);

}  // namespace moiety
