#include "gradients/causal_attention.h"

#include <algorithm>

#include "gradients/softmax.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"

namespace moiety {
namespace {

constexpr size_t block_rows = 64;  // queries that meet the keys together

// Queries [row, row + rows) of one head against the keys [first, last) that any of them sees; places in a sequence.
struct Block {
  const CausalShape& shape;
  size_t sequence, head, row, rows, first, last;

  Block(const CausalShape& s, size_t in_sequence, size_t of_head, size_t at) : shape(s), sequence(in_sequence), head(of_head), row(at) {
    rows = std::min(block_rows, s.length - row);
    first = lowest(0), last = row + rows;
  }
  size_t keys() const { return last - first; }
  // The keys that row i of the block sees: [lowest(i), row + i].
  size_t lowest(size_t i) const {
    if (shape.chunk) return (row + i) / shape.chunk * shape.chunk;
    return shape.window && row + i + 1 > shape.window ? row + i + 1 - shape.window : 0;
  }
  size_t kv_head() const { return head / (shape.heads / shape.kv_heads); }

  // Where the block's numbers begin in rows like q, like out, like k and like v.
  template <class R>
  auto* query(const R& x) const { return x.data + (sequence * shape.length + row) * x.stride + head * shape.head; }
  template <class R>
  auto* output(const R& x) const { return x.data + (sequence * shape.length + row) * x.stride + head * shape.value; }
  template <class R>
  auto* key(const R& x) const { return x.data + (sequence * shape.length + first) * x.stride + kv_head() * shape.head; }
  template <class R>
  auto* value(const R& x) const { return x.data + (sequence * shape.length + first) * x.stride + kv_head() * shape.value; }
  size_t log_sum(size_t i) const { return (sequence * shape.length + row + i) * shape.heads + head; }
};

// x [rows, keys] = the rows' products with the keys.
void scores(const Block& b, ConstRows q, ConstRows k, float* x, GemmRoom& room) {
  gemm_alone({in_rows(b.query(q), q.stride), transposed(b.key(k), k.stride), x, b.keys(), b.rows, b.keys(), b.shape.head, false, b.shape.precision}, room);
}

// f(scores of the keys that row i sees), and zeros for the others.
template <class Function>
void probabilities(const Block& b, size_t i, float* x, Function f) {
  const size_t low = b.lowest(i) - b.first, high = b.row + i + 1 - b.first;
  std::fill_n(x, low, 0.0f);
  f(std::span(x + low, high - low));
  std::fill(x + high, x + b.keys(), 0.0f);
}

}  // namespace

void causal_attention(const CausalShape& shape, ConstRows q, ConstRows k, ConstRows v, Rows out, float* log_sums, GradientRoom& room, Workers& workers) {
  room.grow_to(workers.size());
  const size_t blocks = (shape.length + block_rows - 1) / block_rows;
  workers.run(shape.sequences * shape.heads * blocks, 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t task = begin; task < end; task++) {
      const Block b(shape, task / blocks / shape.heads, task / blocks % shape.heads, task % blocks * block_rows);
      float* x = at_least(room.threads[worker], block_rows * shape.length);
      scores(b, q, k, x, room.products[worker]);
      for (size_t i = 0; i < b.rows; i++)
        probabilities(b, i, x + i * b.keys(), [&](std::span<float> seen) {
          const ExponentialSum sum = exponentials_and_sum(seen.data(), seen.size(), shape.scale);
          moiety::scale(seen, 1 / sum.sum);
          log_sums[b.log_sum(i)] = sum.log();
        });
      gemm_alone({in_rows(x, b.keys()), in_rows(b.value(v), v.stride), b.output(out), out.stride, b.rows, shape.value, b.keys(), false, shape.precision},
                 room.products[worker]);
    }
  });
}

void causal_attention_gradient(const CausalShape& shape, ConstRows q, ConstRows k, ConstRows v, ConstRows out, const float* log_sums, ConstRows d_out,
                               const AttentionGradients& gradients, GradientRoom& room, Workers& workers) {
  room.grow_to(workers.size());
  const size_t group = shape.heads / shape.kv_heads;
  const auto one = [&](const Block& b, size_t worker) {
    GemmRoom& products = room.products[worker];
    const size_t keys = b.keys();
    float* p = at_least(room.threads[worker], 2 * block_rows * shape.length);  // [rows, keys]
    float* dp = p + block_rows * shape.length;                                 // [rows, keys]
    scores(b, q, k, p, products);
    gemm_alone({in_rows(b.output(d_out), d_out.stride), transposed(b.value(v), v.stride), dp, keys, b.rows, keys, shape.value, false, shape.precision}, products);
    for (size_t i = 0; i < b.rows; i++) {
      const float mean = dot(b.output(out) + i * out.stride, b.output(d_out) + i * d_out.stride, shape.value);  // sum of p dp over the keys
      probabilities(b, i, p + i * keys, [&](std::span<float> seen) { exponentials(seen.data(), seen.size(), shape.scale, log_sums[b.log_sum(i)], 1); });
      softmax_gradient(p + i * keys, dp + i * keys, keys, shape.scale, mean);
    }
    const Rows &dq = gradients.q, &dk = gradients.k, &dv = gradients.v;
    gemm_alone({in_rows(dp, keys), in_rows(b.key(k), k.stride), b.query(dq), dq.stride, b.rows, shape.head, keys, false, shape.precision}, products);
    gemm_alone({transposed(dp, keys), in_rows(b.query(q), q.stride), b.key(dk), dk.stride, keys, shape.head, b.rows, true, shape.precision}, products);
    gemm_alone({transposed(p, keys), in_rows(b.output(d_out), d_out.stride), b.value(dv), dv.stride, keys, shape.value, b.rows, true, shape.precision}, products);
  };
  // A key's gradient adds up over queries in one order, on one thread.
  workers.run(shape.sequences * shape.kv_heads, 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t task = begin; task < end; task++) {
      const size_t sequence = task / shape.kv_heads, kv_head = task % shape.kv_heads;
      for (size_t r = sequence * shape.length; r < (sequence + 1) * shape.length; r++) {
        std::fill_n(gradients.k[r] + kv_head * shape.head, shape.head, 0.0f);
        std::fill_n(gradients.v[r] + kv_head * shape.value, shape.value, 0.0f);
      }
      for (size_t h = kv_head * group; h < (kv_head + 1) * group; h++)
        for (size_t row = 0; row < shape.length; row += block_rows) one(Block(shape, sequence, h, row), worker);
    }
  });
}

}  // namespace moiety
