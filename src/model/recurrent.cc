// Mixers that carry a state from position to position: short convolutions and delta nets.
#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/convolution.h"
#include "kernels/delta_rule.h"
#include "kernels/ops.h"
#include "model/step.h"

namespace moiety {
namespace {

constexpr size_t channels_together = 64;  // one worker's, through all tokens

// The taps of channels [first, first + n), by tap: [length, n]. Files have them by channel.
std::vector<float> taps_of(std::span<const float> taps, size_t length, size_t first, size_t n) {
  std::vector<float> out(length * n);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < length; j++) out[j * n + i] = taps[(first + i) * length + j];
  return out;
}

// What came before in a channel and those after it: [length - 1, channels]; nothing where a convolution has one tap.
float* history_at(BlockState& state, size_t channel) { return state.conv.empty() ? nullptr : state.conv.data() + channel; }

// Runs of rows that belong to one sequence: positions depend on each other, sequences do not.
std::vector<std::pair<size_t, size_t>> runs_of(const Step& step) {
  std::vector<std::pair<size_t, size_t>> out;
  for (size_t t = 0; t < step.count(); t++) {
    if (t > 0 && step.rows[t].sequence == step.rows[t - 1].sequence) out.back().second = t + 1;
    else out.emplace_back(t, t + 1);
  }
  return out;
}

}  // namespace

// LFM2's gated short convolution: B, C, x = in(h); out(C * conv(B * x)).
void short_convolution(Step& step, const Block& block, Activations& x, Rows out) {
  const Config& c = step.model.config;
  const RecurrentWeights& w = block.recurrent;
  const size_t n = step.count(), d = c.d_model;
  Buffer bcx(n, 3 * d), mixed(n, d);
  apply(step, x, {{&w.in, bcx}});
  for (const StepRow& row : step.rows) {
    std::vector<float>& history = row.sequence->blocks[block.index].conv;
    if (history.empty()) history.assign((c.conv_length - 1) * d, 0.0f);
  }
  step.workers.run(d, channels_together, [&](size_t first, size_t last, size_t) {
    const size_t count = last - first;
    const std::vector<float> taps = taps_of(w.conv, c.conv_length, first, count);
    const std::span<const float> bias = w.conv_bias.empty() ? w.conv_bias : w.conv_bias.subspan(first, count);
    for (size_t t = 0; t < n; t++) {
      const std::span<const float> b = bcx[t].subspan(first, count), gate = bcx[t].subspan(d + first, count), value = bcx[t].subspan(2 * d + first, count);
      const std::span<float> to = mixed[t].subspan(first, count);
      weigh(b, 1, value, to);
      convolve(taps, bias, history_at(step.rows[t].sequence->blocks[block.index], first), d, to);
      weigh(to, 1, gate, to);
    }
  });
  apply(step, w.output, mixed, out);
}

// Gated delta rule (Yang et al. 2024, arXiv 2412.06464), and with a decay for each channel Kimi delta attention (arXiv 2510.26692).
// For each value head, with its state S [key, value]:
//   S = decay * S;  S += k (beta (v - S^T k))^T;  out = S^T q
void delta_net(Step& step, const Block& block, Activations& x, Rows out) {
  const Config& c = step.model.config;
  const RecurrentWeights& w = block.recurrent;
  const bool kimi = block.config->mixer == Mixer::kimi_delta;
  const size_t n = step.count(), dk = c.delta_key_size, dv = c.delta_value_size, heads = c.delta_value_heads;
  const size_t keys = c.delta_key_heads * dk, values = heads * dv, channels = 2 * keys + values, share = heads / c.delta_key_heads;
  Buffer q(n, keys), k(n, keys), v(n, values), gate(n, values), beta(n, heads), decay(n, kimi ? keys : heads), mixed(n, values);
  apply(step, x, {{&w.q, q}, {&w.k, k}, {&w.v, v}, {&w.gate, gate}, {&w.beta, beta}, {&w.decay, decay}});

  for (const std::pair<size_t, size_t>& run : runs_of(step)) {
    const size_t begin = run.first, end = run.second;
    BlockState& state = step.rows[begin].sequence->blocks[block.index];
    if (state.delta.empty()) state.delta.assign(heads * dk * dv, 0.0f);
    if (state.conv.empty()) state.conv.assign((c.conv_length - 1) * channels, 0.0f);
    step.workers.run(channels, channels_together, [&](size_t first, size_t last, size_t) {
      for (size_t at = first, next; at < last; at = next) {  // q, k and v are three buffers
        Buffer& rows = at < keys ? q : at < 2 * keys ? k : v;
        const size_t begins = at < keys ? 0 : at < 2 * keys ? keys : 2 * keys;
        next = std::min(last, begins + rows.cols());
        const std::vector<float> taps = taps_of(w.conv, c.conv_length, at, next - at);
        for (size_t t = begin; t < end; t++) {
          const std::span<float> some = rows[t].subspan(at - begins, next - at);
          convolve(taps, {}, history_at(state, at), channels, some);
          if (c.activation == Activation::silu) times_sigmoid(some, some);
          else
            for (float& value : some) value = activation(c, value);
        }
      }
    });
    each_row(step, end - begin, [&](size_t row) {
      for (size_t h = 0; h < c.delta_key_heads; h++) {
        const std::span<float> query = q[begin + row].subspan(h * dk, dk), key = k[begin + row].subspan(h * dk, dk);
        l2_norm(query, 1e-6f, query);
        scale(query, 1 / std::sqrt(static_cast<float>(dk)));
        l2_norm(key, 1e-6f, key);
      }
    });
    step.workers.run(heads, 1, [&](size_t first_head, size_t last_head, size_t) {
      std::vector<float> raw(dk), factor(dk);
      const std::optional<float> bound = kimi && c.kimi_safe_gate ? std::optional(c.kimi_lower_bound) : std::nullopt;
      for (size_t h = first_head; h < last_head; h++) {
        const std::span<float> state_of_head(state.delta.data() + h * dk * dv, dk * dv);  // [key, value]
        const float rate = w.decay_rate[h];  // -exp(A_log)
        for (size_t t = begin; t < end; t++) {
          if (kimi) {
            for (size_t i = 0; i < dk; i++) raw[i] = decay[t][h * dk + i] + w.decay_bias[h * dk + i];
            delta_decays(raw, rate, bound, factor);
          } else {
            std::ranges::fill(factor, std::exp(rate * softplus(decay[t][h] + w.decay_bias[h])));
          }
          const std::span<float> result = mixed[t].subspan(h * dv, dv);
          delta_step(state_of_head, factor, k[t].subspan(h / share * dk, dk), q[t].subspan(h / share * dk, dk), v[t].subspan(h * dv, dv),
                     sigmoid(beta[t][h]), result);
          rms_norm(result, w.norm.weight, c.norm_epsilon, result);
          const std::span<const float> z = gate[t].subspan(h * dv, dv);
          if (kimi) times_sigmoid(result, z);
          else times_silu(result, z);
        }
      }
    });
  }
  apply(step, w.output, mixed, out);
}

}  // namespace moiety
