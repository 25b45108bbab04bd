// Attention whose query and output projections are experts (mixture of attention heads, Zhang et al. 2022, arXiv 2210.05144; JetMoE,
// arXiv 2404.07413): each chosen expert asks with one query per key head; keys and values are shared.
#include <algorithm>

#include "base/error.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/ops.h"
#include "model/experts.h"

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
  const Assignment chosen = assign(route(step, site, activations), *site.bank, step.workers);
  const std::unique_ptr<Lease> lease = site.bank->lease(chosen.experts);

  const auto part = [&](size_t i, PartRole role) -> const Matrix& {
    const Matrix* found = lease->view(i).find(role);
    if (!found) throw Error("layer {}: an attention expert lacks one of its matrices", site.layer);
    return *found;
  };
  const auto of_expert = [&](Buffer& rows, size_t i) { return Rows{rows[chosen.first[i]].data(), chosen.rows_of(i).size(), rows.cols(), rows.cols()}; };

  // By choice: its queries, one a key head, and what attention makes of them.
  const size_t all = chosen.rows.size();
  Buffer query(all, size), mixed(all, size), projected(all, d);
  for (size_t i; (i = lease->wait_any()) != Lease::none;) {
    const std::span<const uint32_t> served = chosen.rows_of(i);
    Buffer input(served.size(), d);
    for (size_t m = 0; m < served.size(); m++) std::copy_n(x[served[m]], d, input[m].begin());
    Activations inputs{ConstRows(input)};
    matmul(part(i, PartRole::query), inputs, of_expert(query, i), step.workers);
  }
  std::vector<AttentionRow> rows(all);
  each_row(step, all, [&](size_t s) {
    const uint32_t t = chosen.rows[s];
    for (size_t h = 0; h < c.kv_heads; h++) rotate_row(step, block, t, query[s].subspan(h * c.key_size, c.key_size));
    rows[s] = attention_row(step, block, t, size, size);
    rows[s].query = query[s].data();
    rows[s].out = mixed[s].data();
  });
  // Queries of one position, and of neighbouring ones, read the same keys.
  std::ranges::stable_sort(rows, {}, [&](const AttentionRow& row) { return chosen.rows[static_cast<size_t>(row.query - query[0].data()) / size]; });
  attend({c.kv_heads, c.kv_heads, c.key_size, c.value_size, c.attention_scale, c.attention_softcap, {}}, rows, step.workers);
  for (size_t i = 0; i < chosen.experts.size(); i++) {
    Activations inputs{ConstRows(of_expert(mixed, i))};
    matmul(part(i, PartRole::output), inputs, of_expert(projected, i), step.workers);
  }
  sum_choices(chosen, chosen.weights, projected, out);
  if (!site.output_bias.empty())
    for (size_t t = 0; t < n; t++) add({out[t], d}, site.output_bias);
}

}  // namespace moiety
