// kind = "moe": a router, the engine's routing text, a bank of experts, and perhaps some that every row uses.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>

#include "learn/balance.h"
#include "learn/expert_groups.h"
#include "learn/facts.h"
#include "learn/function_bias.h"
#include "learn/function_linear.h"
#include "learn/hash_table.h"
#include "learn/part.h"
#include "learn/shared_experts.h"
#include "routing/policy.h"

namespace moiety {
namespace {

class MoePart : public ModelPart {
 public:
  MoePart(const Table& t, const PartSite& site) : arena_(site.arena), name_(site.prefix.substr(0, site.prefix.size() - 1)), layer_(site.layer), d_(site.d) {
    const std::vector<ExpertGroupShape> shapes = read_experts(t);
    for (const ExpertGroupShape& g : shapes) experts_ += g.count;
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
    has_router_ = pipeline_->needs_logits();
    if (!has_router_ && !balance_.empty()) t.wrong("balance", "there is no router to balance: it must be none");
    const float router = static_cast<float>(t.number("router_deviation", site.deviation));
    if (has_router_) router_ = arena_.declare(site.prefix + "ffn_gate_inp.weight", {experts_, d_}, {0, router});
    read_gating_residual(t, site, router);
    if (has_router_ && t.flag("router_bias", false)) router_bias_ = arena_.declare(site.prefix + "ffn_gate_inp.bias", {experts_}, {0, 0});
    const FfnVariant variant = read_ffn_variant(t, "bias");
    weight_on_input_ = t.flag("weight_on_input", false);  // a row comes to an expert times its weight, and leaves it as it is
    bank_ = std::make_unique<ExpertGroups>(shapes, variant, site);
    shared_ = std::make_unique<SharedExperts>(t, site);
    output_scale_ = t.number("output_scale", 1);
    varied_ = router_bias_ || variant != FfnVariant() || t.flag("shared_bias", false) || weight_on_input_ || output_scale_ != 1;
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    SiteRecord record{name_, layer_, static_cast<size_t>(experts_), rows.length, {}, {}};
    if (has_router_) record.logits = linear(x, arena_.value(router_), step.pass);
    if (router_bias_) record.logits = add_bias(record.logits, arena_.value(*router_bias_), step.pass);
    if (earlier_) record.logits = record.logits + linear(earlier_logits(step), arena_.value(*earlier_), step.pass);
    record.routed = route(step.training ? *training_ : *pipeline_, record.logits, x, {layer_, layer_, rows.length, rows.ids, rows.seed}, step.pass);
    record.computing = bank_->computing();
    const at::Tensor chosen = weight_on_input_ ? experts_of_weighted(record.routed, x, step.pass) : bank_->forward(record.routed, x, step.pass);
    at::Tensor y = shared_->add_to(chosen, x, step.pass);
    if (output_scale_ != 1) y = y * output_scale_;
    for (int32_t e : record.routed.expert) used_[step.training] += bank_->parameters(static_cast<size_t>(e));
    rows_[step.training] += static_cast<size_t>(x.size(0));
    if (step.training)
      for (const Balance& b : balance_)
        if (b.loss) step.losses.emplace_back(b.name, b.loss(record));
    step.sites.push_back(std::move(record));
    return y;
  }

  void after_step(const TrainingStep& step) override {
    for (const Balance& b : balance_) {
      if (!b.update) continue;
      std::vector<int64_t> load(static_cast<size_t>(experts_));
      for (const SiteRecord& s : step.sites)
        if (s.name == name_) add_load(s, load);
      b.update(load, bias_);
    }
  }

  void see_text(std::span<const uint64_t> tokens, uint64_t seed) override {
    if (!table_.empty()) fill_hash_table(table_, balanced_ ? tokens : std::span<const uint64_t>(), static_cast<size_t>(experts_), seed);
  }

  std::vector<std::pair<std::string, std::span<float>>> buffers() override {
    std::vector<std::pair<std::string, std::span<float>>> out{{name_ + ".exp_probs_b.bias", bias_}};
    if (!table_.empty()) out.emplace_back(name_ + ".ffn_route_table", table_);
    return out;
  }

  int64_t router_scores() const override { return has_router_ ? experts_ : 0; }

  PartFacts facts() const override {
    std::string text;
    for (const Pipeline::Entry& e : pipeline_->entries()) text += (text.empty() ? "" : " | ") + e.text;
    const std::vector<ExpertGroupShape> shapes = bank_->shapes();
    PartFacts out;
    out.config = {{"num_experts", experts_}, {"moe_intermediate_size", shapes[0].width}};
    out.routing = text;
    shared_->add_facts(out);
    if (shapes.size() > 1 || shapes[0].kind != &expert_kinds()[0]) out.beyond = "experts that are not all SwiGLU of one width";
    else if (earlier_) out.beyond = "routers that take the scores of those before them";
    const bool bias = std::ranges::any_of(pipeline_->entries(), [](const Pipeline::Entry& e) { return e.text == "bias"; });
    if (varied_) out.unwritten = "activation, bias, shared_bias, router_bias, weight_on_input or output_scale";
    out.own = {{"experts", bank_->own()}, {"routing", text}, {"router", has_router_}, {"bias", bias}, {"route_table", !table_.empty()}};
    if (earlier_) out.own["gating_residual"] = true;
    if (shared_->parameters()) out.own["shared"] = shared_->own();
    return out;
  }

  // With as many experts a row as evaluated rows chose on average; before any evaluation, as those in training.
  size_t active_parameters() const override {
    const bool training = !rows_[false];
    const double used = rows_[training] ? static_cast<double>(used_[training]) / static_cast<double>(rows_[training]) : 0;
    return static_cast<size_t>(has_router_ ? experts_ * (d_ + (earlier_ ? earlier_scores_ : 0)) : 0) + shared_->parameters() + static_cast<size_t>(used);
  }

 private:
  std::span<const float> buffer(std::string_view name) const {
    return name == "bias" ? std::span<const float>(bias_) : name == "table" ? std::span<const float>(table_) : std::span<const float>();
  }
  // logits_j = W_j x + M_j logits_(j-1): Jin et al. 2024, "MoE++", arXiv 2410.07348. The first router has nothing to take.
  void read_gating_residual(const Table& t, const PartSite& site, float deviation) {
    if (!t.flag("gating_residual", false)) return;
    if (!has_router_) t.wrong("gating_residual", "there is no router whose scores others could join");
    earlier_scores_ = site.earlier_scores;
    if (earlier_scores_) earlier_ = arena_.declare(site.prefix + "ffn_gate_inp.prev.weight", {experts_, earlier_scores_}, {0, deviation});
  }
  static at::Tensor earlier_logits(const TrainingStep& step) {
    return std::find_if(step.sites.rbegin(), step.sites.rend(), [](const SiteRecord& s) { return s.logits.defined(); })->logits;
  }
  // Each choice is a row of its own, which its weight has been multiplied with.
  at::Tensor experts_of_weighted(const RoutedRows& routed, const at::Tensor& x, Pass& pass) const {
    const int64_t choices = static_cast<int64_t>(routed.expert.size());
    at::Tensor row = at::empty({choices}, at::kLong);
    RoutedRows alone{at::ones({choices}, x.options()), {0}, routed.expert, nullptr, routed.load};
    for (size_t r = 0; r + 1 < routed.first.size(); r++)
      for (int64_t i = routed.first[r]; i < routed.first[r + 1]; i++) row.data_ptr<int64_t>()[i] = static_cast<int64_t>(r), alone.first.push_back(i + 1);
    alone.slots = std::make_shared<ExpertSlots>(expert_slots(alone.first, alone.expert, static_cast<size_t>(experts_)));
    const at::Tensor where = row.to(x.device());
    return at::index_add(at::zeros_like(x), 0, where, bank_->forward(alone, at::index_select(x, 0, where) * routed.weight.unsqueeze(1), pass));
  }
  void read_hash_table(const Table& t, int64_t vocabulary) {
    const std::string form = t.text("hash_table");
    if (form != "random" && form != "balanced") t.wrong("hash_table", "it must be random or balanced");
    balanced_ = form == "balanced";
    table_.assign(static_cast<size_t>(vocabulary), 0.0f);
  }

  Arena& arena_;
  std::string name_;
  uint32_t layer_;
  int64_t d_, experts_ = 0;
  std::unique_ptr<ExpertGroups> bank_;
  std::unique_ptr<SharedExperts> shared_;
  std::unique_ptr<Pipeline> training_, pipeline_;  // with and without stages for training
  std::vector<Balance> balance_;
  std::vector<float> bias_;  // [experts] a buffer: rules change it, gradients don't
  std::vector<float> table_;  // [vocabulary] the expert of each token, for the stage hash; a buffer
  bool has_router_ = true, balanced_ = false;
  size_t router_ = 0;
  int64_t earlier_scores_ = 0;
  double output_scale_ = 1;
  std::optional<size_t> router_bias_;
  bool weight_on_input_ = false;
  bool varied_ = false;  // has what only models have that a run starts from
  std::optional<size_t> earlier_;  // [experts, earlier scores]
  size_t used_[2] = {}, rows_[2] = {};  // parameters of chosen experts, and rows; evaluated, trained
};

}  // namespace

PartInfo moe_part() {
  return {"moe", "experts behind a router: experts, width, shared, routing, balance, gating_residual, router_deviation, hash_table", "Shazeer et al. 2017",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<MoePart>(t, site); }};
}

}  // namespace moiety
