#include "model/finite.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "formats/codec.h"
#include "kernels/ops.h"

namespace moiety {

void check_finite(const Matrix& m, size_t begin, size_t end, const std::string& place) {
  std::vector<float> row(m.cols);
  for (size_t r = begin; r < end; r++) {
    decode(m.type, m.row(r), row);
    if (all_finite(row)) continue;
    for (size_t c = 0; c < m.cols; c++)
      if (!std::isfinite(row[c])) throw Error("{} holds {} at row {}, column {}", place, std::isnan(row[c]) ? "NaN" : "infinity", r, c);
  }
}

}  // namespace moiety
