#include "observe/work.h"

#include <algorithm>

#include "model/load.h"

namespace moiety {

WorkCounter::WorkCounter(const Model& model, LoadCounter& load) : load_(load), experts_(model.sites.size()) {
  dense_bytes_ = static_cast<double>(model.weight_bytes);
  for (const CanonicalTensor& t : canonical_tensors(model.config))
    if (!t.vector) dense_elements_ += static_cast<double>(t.count * t.rows * t.cols);
  for (const Site* site : model.sites) {
    std::vector<uint32_t> ids(site->bank->size());
    for (uint32_t e = 0; e < ids.size(); e++) ids[e] = e;
    experts_[site->index].resize(ids.size());
    const auto lease = site->bank->lease(ids);
    for (size_t i; (i = lease->wait_any()) != Lease::none;) {
      Expert& expert = experts_[site->index][i];
      expert.bytes = static_cast<double>(lease->view(i).bytes());
      for (const Part& part : lease->view(i).parts)
        if (part.matrix.rows > 1) expert.elements += static_cast<double>(part.matrix.rows * part.matrix.cols);
      if (site->bank->record(ids[i]) != ids[i]) continue;
      dense_bytes_ -= expert.bytes, dense_elements_ -= expert.elements;
    }
  }
  head_elements_ = static_cast<double>(model.embedding.rows * model.embedding.cols);
  dense_elements_ -= head_elements_;
  if (model.config.tied_output) return;  // the output product reads the whole of it
  dense_bytes_ -= static_cast<double>(bytes_of(model.embedding.type, model.embedding.cols) * model.embedding.rows);
  dense_elements_ -= head_elements_;
}

void WorkCounter::routed(const Site& site, std::span<const StepRow> rows, ConstRows features, ConstRows scores, const RoutingPlan& plan) {
  load_.routed(site, rows, features, scores, plan);
  std::vector<bool> used(site.bank->size());
  for (size_t r = 0; r < plan.rows(); r++)
    for (const Choice& choice : plan[r]) {
      const Expert& expert = experts_[site.index][choice.expert];
      active_bytes_ += expert.bytes, macs_ += expert.elements;
      if (!used[choice.expert]) bytes_read_ += expert.bytes;
      used[choice.expert] = true;
    }
}

void WorkCounter::block_ran(const Block& block, std::span<const StepRow> rows, ConstRows, ConstRows) {
  size_t last_rows = 0;
  for (size_t r = 0; r < rows.size(); r++) {
    if (r + 1 < rows.size() && rows[r + 1].sequence == rows[r].sequence) continue;
    last_rows++;
    const BlockState& state = rows[r].sequence->blocks[block.index];
    const auto [first, last] = visible(*block.config, rows[r].position);
    bytes_read_ += static_cast<double>(state.keys.size() + state.values.size()) * static_cast<double>(last - first) / static_cast<double>(rows[r].position + 1);
  }
  if (block.index > 0) return;  // once a step
  bytes_read_ += dense_bytes_;
  active_bytes_ += dense_bytes_ * static_cast<double>(rows.size());
  macs_ += dense_elements_ * static_cast<double>(rows.size()) + head_elements_ * static_cast<double>(last_rows);
}

}  // namespace moiety
