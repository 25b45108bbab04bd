#include "learn/router.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

#include "learn/function_bias.h"
#include "learn/function_linear.h"
#include "learn/hash_table.h"
#include "routing/policy.h"

namespace moiety {

Router::Router(const Table& t, const PartSite& site, int64_t experts, const std::string& of)
    : arena_(site.arena), name_(site.prefix.substr(0, site.prefix.size() - 1) + (of == "ffn" ? "" : "." + of)), layer_(site.layer), d_(site.d), experts_(experts) {
  const std::string routing = t.text("routing");
  StageSite stage_site{site.layer, site.layer, static_cast<uint32_t>(experts_), {[this](std::string_view name) { return buffer(name); }}, 0};
  bias_.assign(static_cast<size_t>(experts_), 0.0f);
  if (t.has("hash_table")) read_hash_table(t, site.vocabulary);
  try {
    const RoutingPolicy policy = RoutingPolicy::parse(routing, Allow::training);
    training_ = std::make_unique<Pipeline>(policy.bind(stage_site, routing));
    pipeline_ = std::make_unique<Pipeline>(policy.in_use().bind(stage_site, routing));
  } catch (const UsageError& e) {
    t.wrong("routing", e.what());
  }
  if (pipeline_->has_cohort_stage() || pipeline_->carry_size() > 0 || pipeline_->memory_size() > 0)
    t.wrong("routing", "stages that see other rows when the model is used, or remember, can't be trained yet");
  balance_ = balances(t.text("balance", "none"), t);
  has_weights_ = pipeline_->needs_logits();
  if (!has_weights_ && !balance_.empty()) t.wrong("balance", "there is no router to balance: it must be none");
  const float deviation = static_cast<float>(t.number("router_deviation", site.deviation));
  const std::string weights = site.prefix + of + "_gate_inp";
  if (has_weights_) weight_ = arena_.declare(weights + ".weight", {experts_, d_}, {0, deviation});
  read_gating_residual(t, site, weights, deviation);
  if (has_weights_ && t.flag("router_bias", false)) weight_bias_ = arena_.declare(weights + ".bias", {experts_}, {0, 0});
}

// logits_j = W_j x + M_j logits_(j-1): Jin et al. 2024, "MoE++", arXiv 2410.07348. The first router has nothing to take.
void Router::read_gating_residual(const Table& t, const PartSite& site, const std::string& weights, float deviation) {
  if (!t.flag("gating_residual", false)) return;
  if (!has_weights_) t.wrong("gating_residual", "there is no router whose scores others could join");
  earlier_scores_ = site.earlier_scores;
  if (earlier_scores_) earlier_ = arena_.declare(weights + ".prev.weight", {experts_, earlier_scores_}, {0, deviation});
}

void Router::read_hash_table(const Table& t, int64_t vocabulary) {
  const std::string form = t.text("hash_table");
  if (form != "random" && form != "balanced") t.wrong("hash_table", "it must be random or balanced");
  balanced_ = form == "balanced";
  table_.assign(static_cast<size_t>(vocabulary), 0.0f);
}

std::span<const float> Router::buffer(std::string_view name) const {
  return name == "bias" ? std::span<const float>(bias_) : name == "table" ? std::span<const float>(table_) : std::span<const float>();
}

SiteRecord Router::route(const at::Tensor& x, const RowContext& rows, TrainingStep& step) const {
  SiteRecord record{name_, layer_, static_cast<size_t>(experts_), rows.length, {}, {}};
  if (has_weights_) record.logits = linear(x, arena_.value(weight_), step.pass);
  if (weight_bias_) record.logits = add_bias(record.logits, arena_.value(*weight_bias_), step.pass);
  if (earlier_) {
    const auto last = std::find_if(step.sites.rbegin(), step.sites.rend(), [](const SiteRecord& s) { return s.logits.defined(); });
    record.logits = record.logits + linear(last->logits, arena_.value(*earlier_), step.pass);
  }
  record.routed = moiety::route(step.training ? *training_ : *pipeline_, record.logits, x, {layer_, layer_, rows.length, rows.ids, rows.seed}, step.pass);
  return record;
}

void Router::leave(SiteRecord record, TrainingStep& step) const {
  if (step.training)
    for (const Balance& b : balance_)
      if (b.loss) step.losses.emplace_back(b.name, b.loss(record));
  step.sites.push_back(std::move(record));
}

void Router::after_step(const TrainingStep& step) {
  for (const Balance& b : balance_) {
    if (!b.update) continue;
    std::vector<int64_t> load(static_cast<size_t>(experts_));
    for (const SiteRecord& s : step.sites)
      if (s.name == name_) add_load(s, load);
    b.update(load, bias_);
  }
}

void Router::see_text(std::span<const uint64_t> tokens, uint64_t seed) {
  if (!table_.empty()) fill_hash_table(table_, balanced_ ? tokens : std::span<const uint64_t>(), static_cast<size_t>(experts_), seed);
}

std::vector<std::pair<std::string, std::span<float>>> Router::buffers() {
  std::vector<std::pair<std::string, std::span<float>>> out{{name_ + ".exp_probs_b.bias", bias_}};
  if (!table_.empty()) out.emplace_back(name_ + ".ffn_route_table", table_);
  return out;
}

void Router::add_facts(PartFacts& facts) const {
  for (const Pipeline::Entry& e : pipeline_->entries()) facts.routing += (facts.routing.empty() ? "" : " | ") + e.text;
  if (earlier_) facts.beyond = "routers that take the scores of those before them";
  if (weight_bias_) facts.unwritten = "router_bias";
  const bool bias = std::ranges::any_of(pipeline_->entries(), [](const Pipeline::Entry& e) { return e.text == "bias"; });
  facts.own.update({{"routing", facts.routing}, {"router", has_weights_}, {"bias", bias}, {"route_table", !table_.empty()}});
  if (earlier_) facts.own["gating_residual"] = true;
}

}  // namespace moiety
