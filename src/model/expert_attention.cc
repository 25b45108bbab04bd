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
  for (size_t t = 0; t < n; t++) {
    for (size_t h = 0; h < c.kv_heads; h++) rotate_row(step, block, t, k[t].subspan(h * c.key_size, c.key_size));
    BlockState& state = step.rows[t].sequence->blocks[block.index];
    append_cache(state.keys, k[t], step.cache_type);
    append_cache(state.values, v[t], step.cache_type);
  }
  const ConstRows x = activations.floats();
  const Slots chosen = slots_of(site, route(step, site, activations));
  const std::vector<uint32_t>& ids = chosen.experts;
  const std::unique_ptr<Lease> lease = site.bank->lease(ids);
  std::vector<const ExpertView*> views(ids.size());
  for (size_t i; (i = lease->wait_any()) != Lease::none;) views[i] = &lease->view(i);

  const AttentionShape shape{c.kv_heads, c.kv_heads, c.key_size, c.value_size, c.attention_scale, c.attention_softcap, {}};
  const size_t row_bytes = bytes_of(step.cache_type, size);
  step.workers.run(n, 1, [&](size_t begin, size_t end, size_t) {
    std::vector<float> query(size), mixed(size), projected(d), scratch;
    for (size_t t = begin; t < end; t++) {
      const std::span<float> sum(out[t], d);
      std::ranges::fill(sum, 0.0f);
      const BlockState& state = step.rows[t].sequence->blocks[block.index];
      const auto [first, last] = visible(*block.config, step.rows[t].position);
      scratch.resize(std::max(scratch.size(), attention_scratch(shape, last - first)));
      for (size_t s = chosen.first[t]; s < chosen.first[t + 1]; s++) {
        const Slot& choice = chosen.slots[s];
        const ExpertView& view = *views[static_cast<size_t>(std::ranges::lower_bound(ids, choice.expert) - ids.begin())];
        const Matrix *to_query = view.find(PartRole::query), *to_output = view.find(PartRole::output);
        if (!to_query || !to_output) throw Error("layer {}: an attention expert lacks one of its matrices", site.layer);
        matmul_rows(*to_query, 0, size, {x[t], 1, d, d}, {query.data(), 1, size, size});
        for (size_t h = 0; h < c.kv_heads; h++) rotate_row(step, block, t, std::span(query).subspan(h * c.key_size, c.key_size));
        attend(shape, query, {step.cache_type, state.keys.data(), size, row_bytes}, {step.cache_type, state.values.data(), size, row_bytes},
               first, last, scratch, mixed);
        matmul_rows(*to_output, 0, d, {mixed.data(), 1, size, size}, {projected.data(), 1, d, d});
        add_scaled(sum, projected, choice.weight);
      }
      if (!site.output_bias.empty()) add(sum, site.output_bias);
    }
  });
}

}  // namespace moiety
