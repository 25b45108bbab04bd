// What a model is made of. A part maps [rows, d] to [rows, d] and knows nothing of text: what stands beside the rows comes as columns.
#pragma once
#include <fmt/ranges.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "learn/description.h"
#include "learn/function_routing.h"
#include "learn/pass.h"

namespace moiety {

// What stands beside the rows. Columns are optional.
struct RowContext {
  int64_t rows = 0;
  int64_t length = 0;  // rows of a group that follow each other: a sequence, an image; groups come one after another
  at::Tensor ids;          // [rows] int32: for parts that look at token ids
  uint64_t seed = 0;       // of random stages: the first group's, the others' follow
};

// What a site with a router leaves in a step: for losses, balance rules and metrics.
struct SiteRecord {
  std::string name;  // "blk.3"
  uint32_t layer = 0;
  size_t experts = 0;
  int64_t length = 0;  // rows of a sequence
  at::Tensor logits;  // [rows, experts], in the graph; undefined where there is no router
  RoutedRows routed;
  std::vector<bool> computing = {};  // [experts] whether each is an FFN; empty: all are
};

// Adds a site's load to a sum over passes.   sum: [experts], or empty at first
inline void add_load(const SiteRecord& site, std::vector<int64_t>& sum) {
  sum.resize(site.experts);
  for (size_t e = 0; e < site.experts; e++) sum[e] += site.routed.load[e];
}

struct TrainingStep {
  Pass& pass;
  uint64_t number = 0;
  bool training = true;
  std::vector<SiteRecord> sites = {};
  std::vector<std::pair<std::string, at::Tensor>> losses = {};  // that parts add to the objective's, by name
};

struct PartFacts;  // learn/facts.h

// What parts of every sort have: those of blocks, inputs (learn/input.h) and heads (learn/head.h).
class TrainedPart {
 public:
  virtual ~TrainedPart() = default;
  // After the optimiser has moved the parameters: for rules without gradients.
  virtual void after_step(const TrainingStep&) {}
  // Before the first step of a new run: how often each token of the vocabulary stands in the text. For tables made from it.
  virtual void see_text(std::span<const uint64_t> /*tokens*/, uint64_t /*seed*/) {}
  // Numbers that steps change without gradients, by the name they have in a model's file: saved with it.
  virtual std::vector<std::pair<std::string, std::span<float>>> buffers() { return {}; }
  // Parameters that one row meets, of those declared.
  virtual size_t active_parameters() const = 0;
};

// A mixer or an FFN of a block.
class ModelPart : public TrainedPart {
 public:
  virtual at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) = 0;
  // Scores of a row that its router leaves in its SiteRecord; 0: it has none.
  virtual int64_t router_scores() const { return 0; }
  virtual PartFacts facts() const = 0;
};

// What all blocks of a model have in common.
struct BlockStyle {
  enum class Norms : uint8_t { pre, post, sandwich, parallel };  // where a block's norms are: model/config.h, NormPlacement
  Norms norms = Norms::pre;
  bool layer_norm = false, norm_bias = false;  // LayerNorm instead of RMSNorm; its bias
  float residual_scale = 1;                    // times what a mixer or an FFN adds
  bool operator==(const BlockStyle&) const = default;
};

// Where a part stands.
struct PartSite {
  std::string prefix;  // of its parameters' names: "blk.3."
  uint32_t layer = 0;
  int64_t d = 0;
  int64_t context = 0;     // the most rows of a group
  int64_t vocabulary = 0;
  float deviation = 0.02f;  // of weights before training
  float epsilon = 1e-5f;    // of norms
  Arena& arena;
  int64_t earlier_scores = 0;  // of the nearest router before it; 0: there is none
  BlockStyle style = {};
};

struct PartInfo {
  std::string_view name, meaning, source;
  std::unique_ptr<ModelPart> (*build)(const Table& table, const PartSite& site);
};

// All of them: learn/registry.cc.
std::span<const PartInfo> mixer_parts();
std::span<const PartInfo> ffn_parts();

// The entry that a table's key names; an unknown name is an error that lists what there is.
template <class Info>
const Info& named(std::span<const Info> all, const Table& table, std::string_view key, std::string_view fallback) {
  const std::string name = table.text(key, fallback);
  std::vector<std::string_view> known;
  for (const Info& info : all) {
    if (info.name == name) return info;
    known.push_back(info.name);
  }
  table.wrong(key, fmt::format("there is no '{}'; there are {}", name, fmt::join(known, ", ")));
}

// The entry that the table below a key names by its `kind`, built of that table; where there is none the first, built of the table around it.
template <class Info, class Site>
auto built(std::span<const Info> all, const Table& table, std::string_view key, const Site& site) {
  if (!table.has(key)) return all[0].build(table, site);
  const Table inner = table.table(key);
  return named(all, inner, "kind", all[0].name).build(inner, site);
}

}  // namespace moiety
