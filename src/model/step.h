// One step of the model: rows of one or several sequences that are computed together.
#pragma once
#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/threads.h"
#include "kernels/activations.h"
#include "kernels/attention.h"
#include "model/observer.h"
#include "model/state.h"
#include "model/weights.h"

namespace moiety {

struct StepRow {
  SequenceState* sequence;
  uint32_t position;
  int32_t id;
  uint32_t sequence_number;  // the caller's name for the sequence
};

// Rows of a sequence stand in position order, after everything computed before.
struct Step {
  const Model& model;
  Workers& workers;
  TensorType cache_type;
  std::vector<StepRow> rows;
  Observer* observer = nullptr;
  // By rope and row: cosines then sines, [rows, size].
  std::vector<std::vector<float>> rotations = {};
  // Scores of the last router whose scores the next one takes, [rows, its experts].
  std::vector<float> router_scores = {};
  // Recurrent state of routing stages along depth, by row.
  std::vector<std::vector<float>> carry = {};
  // Told how many blocks the rows have gone through.
  std::function<void(size_t blocks)> on_blocks = {};

  size_t count() const { return rows.size(); }
};

// Calls f(row) for rows [0, count), spread over the workers.
template <class Function>
void each_row(const Step& step, size_t count, Function f) {
  step.workers.run(count, 8, [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; t++) f(t);
  });
}

// Floats [rows, cols] that own their memory. What they are at first is left open, and is NaN where sanitizers look: all threads meet the new pages, where a
// clearing would meet them on one.
class Buffer {
 public:
  Buffer(size_t rows, size_t cols) : rows_(rows), cols_(cols), values_(std::make_unique_for_overwrite<float[]>(rows * cols)) {
#ifdef __SANITIZE_ADDRESS__
    std::fill_n(values_.get(), rows * cols, std::numeric_limits<float>::quiet_NaN());
#endif
  }
  operator Rows() { return {values_.get(), rows_, cols_, cols_}; }
  operator ConstRows() const { return {values_.get(), rows_, cols_, cols_}; }
  std::span<float> operator[](size_t r) { return {values_.get() + r * cols_, cols_}; }
  std::span<const float> operator[](size_t r) const { return {values_.get() + r * cols_, cols_}; }
  size_t rows() const { return rows_; }
  size_t cols() const { return cols_; }

 private:
  size_t rows_, cols_;
  std::unique_ptr<float[]> values_;
};

// y = W x + b: every weight product of the forward pass but the experts' goes through here, with the tensor's name.
struct Product {
  const Linear* linear;
  Rows y;
};
void apply(const Step& step, Activations& x, std::initializer_list<Product> products);  // of one input, together
void apply(const Step& step, const Linear& linear, ConstRows x, Rows y);

// The mixers: x [rows, d_model] the normed input, out [rows, d_model].
void attention(Step& step, const Block& block, Activations& x, Rows out);
void latent_attention(Step& step, const Block& block, Activations& x, Rows out);
void expert_attention(Step& step, const Block& block, Activations& x, Rows out);
void short_convolution(Step& step, const Block& block, Activations& x, Rows out);
void delta_net(Step& step, const Block& block, Activations& x, Rows out);

// FFNs and mixtures of them.
void feed_forward(const Step& step, const FeedForward& ffn, const ExpertKind& kind, Activations& x, Rows out);
float activation(const Config& config, float x);
// What stands between an FFN's products, in place: x = act(x) * up with the family's activation, or of kinds without a gate x = the kind's unit(x).
void activate(const Config& config, const ExpertKind& kind, std::span<float> x, std::span<const float> up);
RoutingPlan route(Step& step, const Site& site, Activations& features);
void mixture(Step& step, const Site& site, Activations& x, Rows out);

// Pieces that several mixers share.
void rotate_row(const Step& step, const Block& block, size_t row, std::span<float> x);  // one head's rotating part
void extend_caches(Step& step, const Block& block, size_t key_width, size_t value_width);  // by a row for each row of the step, to be written
void cache_row(const StepRow& row, LargeBytes& cache, std::span<const float> x, TensorType type);  // writes it
AttentionRow attention_row(const Step& step, const Block& block, size_t row, size_t key_width, size_t value_width);  // but for query and out
std::pair<size_t, size_t> visible(const BlockConfig& block, uint32_t position);  // positions [first, last)

}  // namespace moiety
