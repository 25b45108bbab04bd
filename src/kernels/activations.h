// Rows of activations in the forms that products ask for, each made once however many products share it.
#pragma once
#include "base/threads.h"
#include "kernels/matrix.h"
#include "kernels/q8_rows.h"

namespace moiety {

// The rows must stay as they are while this is in use.
class Activations {
 public:
  Activations(ConstRows rows) : floats_(rows) {}
  size_t rows() const { return floats_.rows; }
  ConstRows floats() const { return floats_; }
  // For products with quantised weights; made by all workers at the first call, so not inside a parallel region.
  const Q8Rows& q8(Workers& workers) {
    if (q8_.empty() && floats_.rows > 0) q8_ = Q8Rows(floats_, workers);
    return q8_;
  }

 private:
  ConstRows floats_;
  Q8Rows q8_;
};

}  // namespace moiety
