// Weights times activations: the one product that everything else calls.
#pragma once
#include <span>

#include "base/threads.h"
#include "kernels/activations.h"
#include "kernels/matrix.h"

namespace moiety {

// y[t, r] = sum over c of W[r, c] x[t, c].
// Where W lies in rows, in float32: W is decoded exactly, products and sums are float32. Where it is packed, by the panel kernels.
// The order of a sum depends on W.cols and the instruction set alone, so that a row of x gives the same bits whatever other
// rows stand beside it, however many threads run, and whichever slice of W's rows is asked for.
void matmul(const Matrix& w, Activations& x, Rows y, Workers& workers);

// Several products of one input in one parallel region.
struct MatrixProduct {
  const Matrix* w;
  Rows y;
};
void matmul(std::span<const MatrixProduct> products, Activations& x, Workers& workers);

// One product on the calling thread.
void matmul_alone(const Matrix& w, ConstRows x, Rows y);

// In float32 on the calling thread, of a matrix in rows, for rows [begin, end) of W only: y[t, r - begin].
void matmul_rows(const Matrix& w, size_t begin, size_t end, ConstRows x, Rows y);

// The dot product in the order that matmul uses.
float dot(const float* a, const float* b, size_t n);

}  // namespace moiety
