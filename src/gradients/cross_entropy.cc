#include "gradients/cross_entropy.h"

#include <algorithm>

#include "gradients/softmax.h"

namespace moiety {
namespace {

constexpr size_t chunk_rows = 512;

struct Chunk {
  size_t first, rows;
  float* logits;  // [rows, vocabulary]
};

void chunk_logits(const Chunk& c, Precision precision, ConstRows x, const float* head, size_t vocabulary, GradientRoom& room, Workers& workers) {
  const Gemm product{in_rows(x[c.first], x.stride), transposed(head, x.cols), c.logits, vocabulary, c.rows, vocabulary, x.cols, false, precision};
  gemm({&product, 1}, room.products, workers);
}

// f(row, its logits) for the rows of a chunk, after their losses.
template <class Function>
void each_loss(const Chunk& c, const HeadLoss& loss, size_t vocabulary, float* nll, float* log_sums, Workers& workers, Function f) {
  workers.run(c.rows, 8, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) {
      const size_t row = c.first + i;
      float* logits = c.logits + i * vocabulary;
      const int32_t target = loss.targets[row];
      log_sums[row] = target < 0 ? 0 : log_sum_exp(logits, vocabulary, 1);
      nll[row] = target < 0 ? 0 : log_sums[row] - logits[target];
      f(row, logits);
    }
  });
}

}  // namespace

void head_cross_entropy(const HeadLoss& loss, ConstRows x, const float* head, size_t vocabulary, float* nll, float* log_sums, Rows dx, float* d_head,
                        bool add, GradientRoom& room, Workers& workers) {
  float* logits = at_least(room.outputs, std::min(chunk_rows, x.rows) * vocabulary);
  for (size_t first = 0; first < x.rows; first += chunk_rows) {
    const Chunk c{first, std::min(chunk_rows, x.rows - first), logits};
    chunk_logits(c, loss.precision, x, head, vocabulary, room, workers);
    // d logits = scale ((1 + 2 z_loss log_sum) p - [target])
    each_loss(c, loss, vocabulary, nll, log_sums, workers, [&](size_t row, float* z) {
      const int32_t target = loss.targets[row];
      if (target < 0) return static_cast<void>(std::fill_n(z, vocabulary, 0.0f));
      exponentials(z, vocabulary, 1, log_sums[row], loss.scale * (1 + 2 * loss.z_loss * log_sums[row]));
      z[target] -= loss.scale;
    });
    const Gemm products[] = {{in_rows(logits, vocabulary), in_rows(head, x.cols), dx[first], dx.stride, c.rows, x.cols, vocabulary, false, loss.precision},
                             {transposed(logits, vocabulary), in_rows(x[first], x.stride), d_head, x.cols, vocabulary, x.cols, c.rows, add || first > 0, loss.precision}};
    gemm(products, room.products, workers);
  }
}

void head_losses(const HeadLoss& loss, ConstRows x, const float* head, size_t vocabulary, float* nll, float* log_sums, GradientRoom& room, Workers& workers) {
  float* logits = at_least(room.outputs, std::min(chunk_rows, x.rows) * vocabulary);
  for (size_t first = 0; first < x.rows; first += chunk_rows) {
    const Chunk c{first, std::min(chunk_rows, x.rows - first), logits};
    chunk_logits(c, loss.precision, x, head, vocabulary, room, workers);
    each_loss(c, loss, vocabulary, nll, log_sums, workers, [](size_t, float*) {});
  }
}

}  // namespace moiety
