// A site's router: its weights, the engine's routing text, and how its load is kept even.
#pragma once
#include <memory>
#include <optional>

#include "learn/balance.h"
#include "learn/facts.h"
#include "learn/part.h"

namespace moiety {

class Router {
 public:
  // The table's keys routing, balance, router_deviation, router_bias, gating_residual and hash_table. `of`: "ffn", or "attn" for a site of attention's,
  // in the names of its parameters.
  Router(const Table& table, const PartSite& site, int64_t experts, const std::string& of);
  Router(const Router&) = delete;  // its pipelines look at its buffers

  // The plan for rows.   x: [rows, d]
  SiteRecord route(const at::Tensor& x, const RowContext& rows, TrainingStep& step) const;
  // Leaves the record in the step, with the losses of its balance.
  void leave(SiteRecord record, TrainingStep& step) const;

  void after_step(const TrainingStep& step);
  void see_text(std::span<const uint64_t> tokens, uint64_t seed);
  std::vector<std::pair<std::string, std::span<float>>> buffers();

  int64_t scores() const { return has_weights_ ? experts_ : 0; }
  int64_t parameters() const { return has_weights_ ? experts_ * (d_ + (earlier_ ? earlier_scores_ : 0)) : 0; }
  void add_facts(PartFacts& facts) const;  // routing, beyond, unwritten and the keys in `own`

 private:
  std::span<const float> buffer(std::string_view name) const;
  void read_gating_residual(const Table& table, const PartSite& site, const std::string& weights, float deviation);
  void read_hash_table(const Table& table, int64_t vocabulary);

  Arena& arena_;
  std::string name_;  // of the site: "blk.3", "blk.3.attn"
  uint32_t layer_;
  int64_t d_, experts_;
  std::unique_ptr<Pipeline> training_, pipeline_;  // with and without stages for training
  std::vector<Balance> balance_;
  std::vector<float> bias_;   // [experts] a buffer: rules change it, gradients don't
  std::vector<float> table_;  // [vocabulary] the expert of each token, for the stage hash; a buffer
  bool has_weights_ = true, balanced_ = false;
  size_t weight_ = 0;  // [experts, d]
  std::optional<size_t> weight_bias_;
  int64_t earlier_scores_ = 0;
  std::optional<size_t> earlier_;  // [experts, earlier scores]
};

}  // namespace moiety
