// Softmax attention: grouped heads, norms of q and k, rotation, windows, chunks, sinks, gates.
#include "kernels/attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/step.h"

namespace moiety {

void rotate_row(const Step& step, const Block& block, size_t row, std::span<float> x) {
  if (block.config->rope < 0) return;
  const size_t rope = static_cast<size_t>(block.config->rope);
  const Rope& r = step.model.config.ropes[rope];
  const std::span<const float> table(step.rotations[rope].data() + row * r.size, r.size);
  rotate(x, table.first(r.size / 2), table.last(r.size / 2), r.interleaved, x.data());
}

void extend_caches(Step& step, const Block& block, size_t key_width, size_t value_width) {
  // In steps of a quarter: the budget of memory counts on no more.
  auto extend = [](LargeBytes& cache, size_t by) { grow(cache, cache.size() + by); };
  for (size_t t = 0, last; t < step.count(); t = last) {  // neighbours of one sequence at once
    SequenceState* sequence = step.rows[t].sequence;
    for (last = t + 1; last < step.count() && step.rows[last].sequence == sequence; last++) {}
    BlockState& state = sequence->blocks[block.index];
    extend(state.keys, (last - t) * bytes_of(step.cache_type, key_width));
    extend(state.values, (last - t) * bytes_of(step.cache_type, value_width));
  }
}

void cache_row(const StepRow& row, LargeBytes& cache, std::span<const float> x, TensorType type) {
  store_row(x, type, cache.data() + row.position * bytes_of(type, x.size()));
}

AttentionRow attention_row(const Step& step, const Block& block, size_t row, size_t key_width, size_t value_width) {
  const StepRow& r = step.rows[row];
  const BlockState& state = r.sequence->blocks[block.index];
  const auto [first, last] = visible(*block.config, r.position);
  return {.query = nullptr,
          .keys = {step.cache_type, state.keys.data(), key_width, bytes_of(step.cache_type, key_width)},
          .values = {step.cache_type, state.values.data(), value_width, bytes_of(step.cache_type, value_width)},
          .first = first,
          .last = last,
          .out = nullptr};
}

std::pair<size_t, size_t> visible(const BlockConfig& b, uint32_t position) {
  const size_t last = size_t{position} + 1;
  if (b.mask == Mask::window) return {last > b.window ? last - b.window : 0, last};
  if (b.mask == Mask::chunk) return {position / b.window * b.window, last};
  return {0, last};
}

namespace {

void norm_heads(const AttentionConfig& a, float epsilon, const NormWeights& norm, std::span<float> x) {
  const size_t size = a.qk_norm == QkNorm::whole ? x.size() : a.key_size;
  for (size_t at = 0; at < x.size(); at += size) {
    const std::span<float> part = x.subspan(at, size);
    rms_norm(part, a.qk_norm == QkNorm::l2 ? std::span<const float>() : norm.weight, epsilon, part);
  }
}

void clip(std::span<float> x, float limit) {
  for (float& v : x) v = std::clamp(v, -limit, limit);
}

// Norm and rotation of one row of queries or keys, in the family's order.
void prepare(const Step& step, const Block& block, size_t row, const NormWeights& norm, std::span<float> x) {
  const Config& c = step.model.config;
  const AttentionConfig a = c.attention_of(*block.config);
  const bool normed = a.qk_norm != QkNorm::none && block.config->qk_norm;
  if (normed && !c.qk_norm_after_rope) norm_heads(a, c.norm_epsilon, norm, x);
  if (c.clip_qkv > 0) clip(x, c.clip_qkv);
  for (size_t at = 0; at < x.size(); at += a.key_size) rotate_row(step, block, row, x.subspan(at, a.key_size));
  if (normed && c.qk_norm_after_rope) norm_heads(a, c.norm_epsilon, norm, x);
}

// The q projection gives query and gate head by head: [heads, 2, key_size]. Splits it in two.
void split_gate(const AttentionConfig& a, std::span<const float> both, std::span<float> query, std::span<float> gate) {
  for (size_t h = 0; h < a.heads; h++) {
    std::ranges::copy(both.subspan(2 * h * a.key_size, a.key_size), query.begin() + static_cast<ptrdiff_t>(h * a.key_size));
    std::ranges::copy(both.subspan((2 * h + 1) * a.key_size, a.key_size), gate.begin() + static_cast<ptrdiff_t>(h * a.key_size));
  }
}

}  // namespace

void attention(Step& step, const Block& block, Activations& x, Rows out) {
  const Config& c = step.model.config;
  const AttentionConfig a = c.attention_of(*block.config);
  const AttentionWeights& w = block.attention;
  const size_t n = step.count(), q_size = size_t{a.heads} * a.key_size, k_size = size_t{a.kv_heads} * a.key_size;
  const size_t v_size = size_t{a.kv_heads} * a.value_size, out_size = size_t{a.heads} * a.value_size;
  Buffer q(n, q_size), k(n, k_size), v(n, v_size), mixed(n, out_size);
  Buffer gate(n, c.output_gate == OutputGate::none ? 0 : c.output_gate == OutputGate::per_head ? a.heads : out_size);
  if (c.output_gate == OutputGate::in_query) {
    Buffer both(n, 2 * q_size);
    apply(step, x, {{&w.q, both}, {&w.k, k}, {&w.v, v}});
    for (size_t t = 0; t < n; t++) split_gate(a, both[t], q[t], gate[t]);
  } else if (c.output_gate != OutputGate::none) {
    apply(step, x, {{&w.q, q}, {&w.k, k}, {&w.v, v}, {&w.gate, gate}});
  } else {
    apply(step, x, {{&w.q, q}, {&w.k, k}, {&w.v, v}});
  }

  extend_caches(step, block, k_size, v_size);
  std::vector<AttentionRow> rows(n);
  step.workers.run(n, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; t++) {
      prepare(step, block, t, w.q_norm, q[t]);
      prepare(step, block, t, w.k_norm, k[t]);
      if (c.clip_qkv > 0) clip(v[t], c.clip_qkv);
      if (block.config->query_temperature) {
        const float turns = std::floor((static_cast<float>(step.rows[t].position) + 1) / c.temperature_floor);
        scale(q[t], std::log1p(turns) * c.temperature_scale + 1);
      }
      BlockState& state = step.rows[t].sequence->blocks[block.index];
      cache_row(step.rows[t], state.keys, k[t], step.cache_type);
      cache_row(step.rows[t], state.values, v[t], step.cache_type);
      rows[t] = attention_row(step, block, t, k_size, v_size);
      rows[t].query = q[t].data();
      rows[t].out = mixed[t].data();
    }
  });
  const AttentionShape shape{a.heads, a.kv_heads, a.key_size, a.value_size, a.scale, c.attention_softcap, w.sinks};
  attend(shape, rows, step.workers);
  if (gate.cols() == out_size)
    step.workers.run(n, 1, [&](size_t begin, size_t end, size_t) {
      for (size_t t = begin; t < end; t++) times_sigmoid(mixed[t], gate[t]);
    });
  apply(step, w.output, mixed, out);
}

namespace {

// Each head's own product: y head h = w[h] times x head h, of rows whose heads lie `apart` numbers apart.
struct Heads {
  Buffer& rows;
  size_t apart, cols;
  Rows of(size_t head) const { return {rows[0].data() + head * apart, rows.rows(), cols, rows.cols()}; }
};
void each_head(const Step& step, std::span<const Matrix> w, Heads x, Heads y) {
  step.workers.run(w.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t h = begin; h < end; h++) matmul_alone(w[h], x.of(h), y.of(h));
  });
}

}  // namespace

// Latent attention in its absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1): a position's cache is its normed latent vector and
// one rotated key; a query goes into the latent space, and what comes out of it goes back by v_b. All heads share the cached rows.
void latent_attention(Step& step, const Block& block, Activations& x, Rows out) {
  const Config& c = step.model.config;
  const AttentionWeights& w = block.attention;
  const size_t n = step.count(), nope = c.key_size - c.rope_key_size, row_size = c.kv_rank + c.rope_key_size;
  Buffer q(n, size_t{c.heads} * c.key_size), latent(n, row_size), mixed(n, size_t{c.heads} * c.value_size);
  if (c.q_rank) {
    Buffer low(n, c.q_rank);
    apply(step, x, {{&w.q_a, low}, {&w.kv_a, latent}});
    for (size_t t = 0; t < n; t++) rms_norm(low[t], w.q_a_norm.weight, c.latent_norm_epsilon, low[t]);
    apply(step, w.q_b, low, q);
  } else {
    apply(step, x, {{&w.q, q}, {&w.kv_a, latent}});
  }
  Buffer gate(n, c.output_gate == OutputGate::per_head ? c.heads : 0);
  if (gate.cols()) apply(step, x, {{&w.gate, gate}});

  extend_caches(step, block, row_size, 0);
  Buffer absorbed(n, c.heads * row_size), inside(n, size_t{c.heads} * c.kv_rank);
  std::vector<AttentionRow> rows(n);
  step.workers.run(n, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t t = begin; t < end; t++) {
      if (c.q_latent_scale != 1) scale(q[t], c.q_latent_scale);
      for (size_t h = 0; h < c.heads; h++) rotate_row(step, block, t, q[t].subspan(h * c.key_size + nope, c.rope_key_size));
      const std::span<float> compressed = latent[t].first(c.kv_rank);
      rms_norm(compressed, w.kv_a_norm.weight, c.latent_norm_epsilon, compressed);
      if (c.kv_latent_scale != 1) scale(compressed, c.kv_latent_scale);
      rotate_row(step, block, t, latent[t].last(c.rope_key_size));
      cache_row(step.rows[t], step.rows[t].sequence->blocks[block.index].keys, latent[t], step.cache_type);
      for (size_t h = 0; h < c.heads; h++)
        std::copy_n(q[t].data() + h * c.key_size + nope, c.rope_key_size, absorbed[t].data() + h * row_size + c.kv_rank);
      rows[t] = attention_row(step, block, t, row_size, 0);
      rows[t].values = rows[t].keys;
      rows[t].query = absorbed[t].data();
      rows[t].out = inside[t].data();
    }
  });
  each_head(step, w.k_b, {q, c.key_size, nope}, {absorbed, row_size, c.kv_rank});
  const AttentionShape shape{c.heads, 1, row_size, c.kv_rank, c.attention_scale, c.attention_softcap, w.sinks};
  attend(shape, rows, step.workers);
  each_head(step, w.v_b, {inside, c.kv_rank, c.kv_rank}, {mixed, c.value_size, c.value_size});
  for (size_t t = 0; t < n && gate.cols(); t++)
    for (size_t h = 0; h < c.heads; h++) scale(mixed[t].subspan(h * c.value_size, c.value_size), sigmoid(gate[t][h]));
  apply(step, w.output, mixed, out);
}

}  // namespace moiety
