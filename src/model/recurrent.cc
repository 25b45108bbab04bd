// Mixers that carry a state from position to position: short convolutions and delta nets.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/ops.h"
#include "model/step.h"

namespace moiety {
namespace {

// A causal convolution of each channel with its own taps: out = sum over j of taps[j] * input[position - (taps - 1) + j]. `state` holds
// the taps - 1 inputs before this one; the new input joins it.
void convolve(std::span<const float> taps, std::span<const float> bias, size_t length, std::span<const float> input, std::vector<float>& state,
              std::span<float> out) {
  const size_t channels = input.size();
  if (state.empty()) state.assign((length - 1) * channels, 0.0f);
  for (size_t ch = 0; ch < channels; ch++) {
    float sum = bias.empty() ? 0.0f : bias[ch];
    for (size_t j = 0; j + 1 < length; j++) sum += taps[ch * length + j] * state[j * channels + ch];
    out[ch] = sum + taps[ch * length + length - 1] * input[ch];
  }
  if (length < 2) return;
  std::memmove(state.data(), state.data() + channels, (length - 2) * channels * sizeof(float));
  std::ranges::copy(input, state.end() - static_cast<ptrdiff_t>(channels));
}

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
  std::vector<float> input(d);
  for (size_t t = 0; t < n; t++) {
    const std::span<const float> b = bcx[t].first(d), gate = bcx[t].subspan(d, d), value = bcx[t].last(d);
    for (size_t i = 0; i < d; i++) input[i] = b[i] * value[i];
    convolve(w.conv, w.conv_bias, c.conv_length, input, step.rows[t].sequence->blocks[block.index].conv, mixed[t]);
    for (size_t i = 0; i < d; i++) mixed[t][i] *= gate[i];
  }
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
    std::vector<float> input(channels), convolved(channels);
    for (size_t t = begin; t < end; t++) {
      std::ranges::copy(q[t], input.begin());
      std::ranges::copy(k[t], input.begin() + static_cast<ptrdiff_t>(keys));
      std::ranges::copy(v[t], input.begin() + static_cast<ptrdiff_t>(2 * keys));
      convolve(w.conv, {}, c.conv_length, input, state.conv, convolved);
      for (float& value : convolved) value = activation(c, value);
      std::copy_n(convolved.begin(), keys, q[t].begin());
      std::copy_n(convolved.begin() + static_cast<ptrdiff_t>(keys), keys, k[t].begin());
      std::copy_n(convolved.begin() + static_cast<ptrdiff_t>(2 * keys), values, v[t].begin());
      for (size_t h = 0; h < c.delta_key_heads; h++) {
        const std::span<float> query = q[t].subspan(h * dk, dk), key = k[t].subspan(h * dk, dk);
        l2_norm(query, 1e-6f, query);
        scale(query, 1 / std::sqrt(static_cast<float>(dk)));
        l2_norm(key, 1e-6f, key);
      }
    }
    step.workers.run(heads, 1, [&](size_t first_head, size_t last_head, size_t) {
      std::vector<float> delta(dv), factor(dk);
      for (size_t h = first_head; h < last_head; h++) {
        float* s = state.delta.data() + h * dk * dv;  // [key, value]
        for (size_t t = begin; t < end; t++) {
          const float* query = q[t].data() + h / share * dk;
          const float* key = k[t].data() + h / share * dk;
          for (size_t i = 0; i < dk; i++) {
            const size_t at = kimi ? h * dk + i : h;
            const float raw = decay[t][at] + w.decay_bias[at];
            // decay_rate is -exp(A_log)
            const float log_decay = !kimi || !c.kimi_safe_gate ? w.decay_rate[h] * softplus(raw) : c.kimi_lower_bound * sigmoid(-w.decay_rate[h] * raw);
            factor[i] = std::exp(log_decay);
          }
          std::ranges::fill(delta, 0.0f);
          for (size_t i = 0; i < dk; i++)
            for (size_t j = 0; j < dv; j++) {
              s[i * dv + j] *= factor[i];
              delta[j] += s[i * dv + j] * key[i];
            }
          const float b = sigmoid(beta[t][h]);
          for (size_t j = 0; j < dv; j++) delta[j] = (v[t][h * dv + j] - delta[j]) * b;
          const std::span<float> result = mixed[t].subspan(h * dv, dv);
          std::ranges::fill(result, 0.0f);
          for (size_t i = 0; i < dk; i++)
            for (size_t j = 0; j < dv; j++) {
              s[i * dv + j] += key[i] * delta[j];
              result[j] += s[i * dv + j] * query[i];
            }
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
