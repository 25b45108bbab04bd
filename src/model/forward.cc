#include "model/forward.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "formats/codec.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/rope.h"

namespace moiety {

void apply(const Step& step, Activations& x, std::initializer_list<Product> products) {
  std::vector<MatrixProduct> matrices;
  for (const Product& p : products) matrices.push_back({&p.linear->weight, p.y});
  matmul(matrices, x, step.workers);
  for (const Product& p : products)
    if (!p.linear->bias.empty()) each_row(step, x.rows(), [&](size_t t) { add({p.y[t], p.linear->weight.rows}, p.linear->bias); });
}

void apply(const Step& step, const Linear& linear, ConstRows x, Rows y) {
  Activations input(x);
  apply(step, input, {{&linear, y}});
}

namespace {

void apply_norm(const Step& step, float epsilon, const NormWeights& norm, ConstRows x, Rows out) {
  each_row(step, x.rows, [&](size_t t) {
    const std::span<const float> in(x[t], x.cols);
    if (step.model.config.norm == NormKind::layer) layer_norm(in, norm.weight, norm.bias, epsilon, {out[t], x.cols});
    else rms_norm(in, norm.weight, epsilon, {out[t], x.cols});
  });
}

void embed(Step& step, Rows hidden) {
  const Model& model = step.model;
  each_row(step, step.count(), [&](size_t t) {
    const std::span<float> row(hidden[t], hidden.cols);
    decode(model.embedding.type, model.embedding.row(static_cast<size_t>(step.rows[t].id)), row);
    if (model.config.embedding_scale != 1) scale(row, model.config.embedding_scale);
  });
}

void make_rotations(Step& step) {
  const std::vector<Rope>& ropes = step.model.config.ropes;
  step.rotations.resize(ropes.size());
  for (size_t r = 0; r < ropes.size(); r++) {
    const size_t size = ropes[r].size;
    step.rotations[r].resize(step.count() * size);
    each_row(step, step.count(), [&](size_t t) {
      const std::span<float> row(step.rotations[r].data() + t * size, size);
      rope_row(step.rows[t].sequence->frequencies[r], step.rows[t].position, row.first(size / 2), row.last(size / 2));
    });
  }
}

void mix(Step& step, const Block& block, Activations x, Rows out) {
  switch (block.config->mixer) {
    case Mixer::attention: return attention(step, block, x, out);
    case Mixer::latent_attention: return latent_attention(step, block, x, out);
    case Mixer::expert_attention: return expert_attention(step, block, x, out);
    case Mixer::short_convolution: return short_convolution(step, block, x, out);
    case Mixer::gated_delta:
    case Mixer::kimi_delta: return delta_net(step, block, x, out);
  }
}

void add_rows(const Step& step, Rows x, ConstRows y) {
  const float factor = step.model.config.residual_scale;
  each_row(step, x.rows, [&](size_t t) {
    if (factor == 1) add({x[t], x.cols}, {y[t], y.cols});
    else add_scaled({x[t], x.cols}, {y[t], y.cols}, factor);
  });
}

void check_finite(const Step& step, const Block& block, ConstRows x) {
  each_row(step, x.rows, [&](size_t t) {
    if (!all_finite({x[t], x.cols}))
      throw Error("layer {}: the activation of token {} is not finite; the weights may hold NaN or infinity (look with --check)",
                  block.config->layer, step.rows[t].position);
  });
}

// What a site computed for a later block of the schedule.
struct Delayed {
  size_t due;
  Buffer rows;
};

void run_block(Step& step, const Block& block, Rows x, std::vector<Delayed>& delayed) {
  const Config& c = step.model.config;
  const size_t n = x.rows, d = x.cols;
  const bool parallel = c.placement == NormPlacement::parallel;
  Buffer normed(n, d), mixed(n, d), out(n, d);
  auto enter = [&](const NormWeights& norm) {
    if (norm) return apply_norm(step, c.norm_epsilon, norm, x, normed);
    for (size_t t = 0; t < n; t++) std::copy_n(x[t], d, normed[t].begin());
  };
  enter(block.mixer_norm);
  mix(step, block, ConstRows(normed), mixed);
  if (block.mixer_post_norm) apply_norm(step, c.norm_epsilon, block.mixer_post_norm, mixed, mixed);
  if (!parallel) {
    add_rows(step, x, mixed);
    enter(block.ffn_norm);
  }
  Activations input{ConstRows(normed)};
  if (block.site) {
    mixture(step, *block.site, input, out);
    if (const uint32_t later = block.site->config->add_after_blocks) {
      delayed.push_back({block.index + later, std::move(out)});
      out = Buffer(n, d);
    }
  }
  if (block.ffn) feed_forward(step, block.ffn, ffn_expert, input, out);
  if (block.ffn_post_norm) apply_norm(step, c.norm_epsilon, block.ffn_post_norm, out, out);
  if (parallel) add_rows(step, x, mixed);
  add_rows(step, x, out);
  for (const Delayed& late : delayed)
    if (late.due == block.index) add_rows(step, x, late.rows);
}

}  // namespace

void forward(Step& step, Rows hidden) {
  embed(step, hidden);
  make_rotations(step);
  step.carry.assign(step.count(), {});
  std::vector<Delayed> delayed;
  Buffer before(step.observer ? hidden.rows : 0, hidden.cols);
  for (const Block& block : step.model.blocks) {
    for (size_t t = 0; t < before.rows(); t++) std::copy_n(hidden[t], hidden.cols, before[t].begin());
    run_block(step, block, hidden, delayed);
    check_finite(step, block, hidden);
    if (step.observer) step.observer->block_ran(block, step.rows, before, hidden);
    if (step.on_blocks) step.on_blocks(block.index + 1);
  }
}

namespace {

// The blocks before were looked at one by one: what is wrong here came from the last norm or the head.
void refuse_logits(const Model& model, ConstRows logits) {
  for (size_t t = 0; t < logits.rows; t++) {
    const float *row = logits[t], *wrong = std::find_if_not(row, row + logits.cols, [](float v) { return std::isfinite(v); });
    if (wrong != row + logits.cols)
      throw Error("{}: the logit of token {} is not finite; the output norm or head may hold NaN or infinity (look with --check)",
                  model.path.string(), wrong - row);
  }
}

}  // namespace

void logits_of(const Step& step, ConstRows hidden, Rows logits) {
  const Config& c = step.model.config;
  Buffer normed(hidden.rows, hidden.cols);
  apply_norm(step, c.output_norm_epsilon, step.model.output_norm, hidden, normed);
  apply(step, step.model.output, normed, logits);
  std::atomic<bool> finite = true;
  step.workers.run(logits.cols, 4096, [&](size_t begin, size_t end, size_t) {
    for (size_t t = 0; t < logits.rows; t++) {
      const std::span<float> some(logits[t] + begin, end - begin);
      if (c.logit_scale != 1) scale(some, c.logit_scale);
      if (!all_finite(some)) finite.store(false, std::memory_order_relaxed);
      else if (c.final_softcap > 0) soft_cap(some, c.final_softcap);
    }
  });
  if (!finite) refuse_logits(step.model, logits);
}

}  // namespace moiety
