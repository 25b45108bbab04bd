#include "gradients/cross_entropy.h"

#include <algorithm>

#include "gradients/softmax.h"
#include "kernels/ops.h"

namespace moiety {
namespace {

struct Chunk {
  size_t first, rows;
  float* logits;  // [rows, vocabulary]
};

// f(each chunk of the rows, in order). Larger chunks mean fewer passes over the head's gradient, but hold more logits: those of a large vocabulary
// go in smaller ones.
template <class Function>
void each_chunk(size_t rows, size_t vocabulary, GradientRoom& room, Function f) {
  const size_t most = std::min(std::clamp<size_t>((size_t{8} << 20) / vocabulary, 512, 1024), rows);
  float* logits = at_least(room.outputs, most * vocabulary);
  for (size_t first = 0; first < rows; first += most) f(Chunk{first, std::min(most, rows - first), logits});
}

void chunk_logits(const Chunk& c, Precision precision, ConstRows x, const float* head, size_t vocabulary, GradientRoom& room, Workers& workers) {
  const Gemm product{in_rows(x[c.first], x.stride), transposed(head, x.cols), c.logits, vocabulary, c.rows, vocabulary, x.cols, false, precision};
  gemm({&product, 1}, room.products, workers);
}

// The losses of a chunk's rows. log_sum(row, its logits) gives the logarithm of their sum of exponentials, and may put something in their place.
template <class Function>
void each_loss(const Chunk& c, const HeadLoss& loss, size_t vocabulary, float* nll, float* log_sums, Workers& workers, Function log_sum) {
  workers.run(c.rows, 8, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) {
      const size_t row = c.first + i;
      float* logits = c.logits + i * vocabulary;
      const int32_t target = loss.targets[row];
      const float of_target = target < 0 ? 0 : logits[target];
      log_sums[row] = log_sum(row, logits);
      nll[row] = log_sums[row] - of_target;
    }
  });
}

}  // namespace

void head_cross_entropy(const HeadLoss& loss, ConstRows x, const float* head, size_t vocabulary, float* nll, float* log_sums, Rows dx, float* d_head,
                        bool add, GradientRoom& room, Workers& workers) {
  each_chunk(x.rows, vocabulary, room, [&](const Chunk& c) {
    chunk_logits(c, loss.precision, x, head, vocabulary, room, workers);
    // d logits = scale ((1 + 2 z_loss log_sum) p - [target])
    each_loss(c, loss, vocabulary, nll, log_sums, workers, [&](size_t row, float* z) {
      const int32_t target = loss.targets[row];
      if (target < 0) return std::fill_n(z, vocabulary, 0.0f), 0.0f;
      const ExponentialSum sum = exponentials_and_sum(z, vocabulary, 1);
      scale({z, vocabulary}, loss.scale * (1 + 2 * loss.z_loss * sum.log()) / sum.sum);
      z[target] -= loss.scale;
      return sum.log();
    });
    const Gemm products[] = {{in_rows(c.logits, vocabulary), in_rows(head, x.cols), dx[c.first], dx.stride, c.rows, x.cols, vocabulary, false, loss.precision},
                             {transposed(c.logits, vocabulary), in_rows(x[c.first], x.stride), d_head, x.cols, vocabulary, x.cols, c.rows, add || c.first > 0, loss.precision}};
    gemm(products, room.products, workers);
  });
}

void head_losses(const HeadLoss& loss, ConstRows x, const float* head, size_t vocabulary, float* nll, float* log_sums, GradientRoom& room, Workers& workers) {
  each_chunk(x.rows, vocabulary, room, [&](const Chunk& c) {
    chunk_logits(c, loss.precision, x, head, vocabulary, room, workers);
    each_loss(c, loss, vocabulary, nll, log_sums, workers, [&](size_t row, float* z) { return loss.targets[row] < 0 ? 0.0f : log_sum_exp(z, vocabulary, 1); });
  });
}

}  // namespace moiety
