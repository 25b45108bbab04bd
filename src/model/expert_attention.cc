// Attention whose query and output projections are experts (mixture of attention heads, Zhang et al. 2022, arXiv 2210.05144; JetMoE,
// arXiv 2404.07413): each chosen expert asks with one query per key head; keys and values are shared.
#include <algorithm>

#include "base/error.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/step.h"

namespace moiety {

void expert_attention(Step& step, const Block& block, Activations& activations, Rows out) {
  const Config& c = step.model.config;
  const Site& site = *block.attention_site;
  const size_t n = step.count(), size = size_t{c.kv_heads} * c.key_size, d = c.d_model;
  Buffer k(n, size), v(n, size);
  apply(step, activations, {{&block.attention.k, k}, {&block.attention.v, v}});
  extend_caches(step, block, size, size);
  for (size_t t = 0; t < n; t++) {
    for (size_t h = 0; h < c.kv_heads; h++) rotate_row(step, block, t, k[t].subspan(h * c.key_size, c.key_size));
    BlockState& state = step.rows[t].sequence->blocks[block.index];
    cache_row(step.rows[t], state.keys, k[t], step.cache_type);
    cache_row(step.rows[t], state.values, v[t], step.cache_type);
  }
  const ConstRows x = activations.floats();
  const Slots chosen = slots_of(site, route(step, site, activations));
  const std::vector<uint32_t>& ids = chosen.experts;
  const std::unique_ptr<Lease> lease = site.bank->lease(ids);
  std::vector<const ExpertView*> views(ids.size());
  for (size_t i; (i = lease->wait_any()) != Lease::none;) views[i] = &lease->view(i);

  // A row of queries for each choice, and what attention makes of it.
  const size_t all = chosen.slots.size();
  Buffer query(all, size), mixed(all, size), projected(all, d);
  std::vector<AttentionRow> rows(all);
  auto part = [&](const Slot& choice, PartRole role) -> const Matrix& {
    const Matrix* found = views[static_cast<size_t>(std::ranges::lower_bound(ids, choice.expert) - ids.begin())]->find(role);
    if (!found) throw Error("layer {}: an attention expert lacks one of its matrices", site.layer);
    return *found;
  };
  step.workers.run(all, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t s = begin; s < end; s++) {
      const uint32_t t = chosen.slots[s].row;
      matmul_alone(part(chosen.slots[s], PartRole::query), {x[t], 1, d, d}, {query[s].data(), 1, size, size});
      for (size_t h = 0; h < c.kv_heads; h++) rotate_row(step, block, t, query[s].subspan(h * c.key_size, c.key_size));
      rows[s] = attention_row(step, block, t, size, size);
      rows[s].query = query[s].data();
      rows[s].out = mixed[s].data();
    }
  });
  attend({c.kv_heads, c.kv_heads, c.key_size, c.value_size, c.attention_scale, c.attention_softcap, {}}, rows, step.workers);
  step.workers.run(all, 1, [&](size_t begin, size_t end, size_t) {
    for (size_t s = begin; s < end; s++)
      matmul_alone(part(chosen.slots[s], PartRole::output), {mixed[s].data(), 1, size, size}, {projected[s].data(), 1, d, d});
  });
  for (size_t t = 0; t < n; t++) {
    const std::span<float> sum(out[t], d);
    std::ranges::fill(sum, 0.0f);
    for (size_t s = chosen.first[t]; s < chosen.first[t + 1]; s++) add_scaled(sum, projected[s], chosen.slots[s].weight);
    if (!site.output_bias.empty()) add(sum, site.output_bias);
  }
}

}  // namespace moiety
