// kind = "moe": a router, the engine's routing text, a bank of experts, and perhaps some that every row uses.
#include <ATen/TensorOperators.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>

#include <numeric>

#include "learn/expert_groups.h"
#include "learn/function_bias.h"
#include "learn/router.h"
#include "learn/shared_experts.h"

namespace moiety {
namespace {

int64_t count_of(const std::vector<ExpertGroupShape>& shapes) {
  int64_t out = 0;
  for (const ExpertGroupShape& g : shapes) out += g.count;
  return out;
}

class MoePart : public ModelPart {
 public:
  MoePart(const Table& t, const PartSite& site) : MoePart(t, site, read_experts(t)) {}

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    SiteRecord record = router_.route(x, rows, step);
    record.computing = bank_.computing();
    const at::Tensor chosen = weight_on_input_ ? experts_of_weighted(record.routed, x, step.pass) : bank_.forward(record.routed, x, step.pass);
    at::Tensor y = shared_.add_to(chosen, x, step.pass);
    if (output_scale_ != 1) y = y * output_scale_;
    if (output_bias_) y = add_bias(y, arena_.value(*output_bias_), step.pass);
    for (int32_t e : record.routed.expert) used_[step.training] += bank_.parameters(static_cast<size_t>(e));
    rows_[step.training] += static_cast<size_t>(x.size(0));
    router_.leave(std::move(record), step);
    return y;
  }

  void after_step(const TrainingStep& step) override { router_.after_step(step); }
  void see_text(std::span<const uint64_t> tokens, uint64_t seed) override { router_.see_text(tokens, seed); }
  std::vector<std::pair<std::string, std::span<float>>> buffers() override { return router_.buffers(); }
  int64_t router_scores() const override { return router_.scores(); }

  PartFacts facts() const override {
    const std::vector<ExpertGroupShape> shapes = bank_.shapes();
    PartFacts out;
    out.config = {{"num_experts", count_of(shapes)}, {"moe_intermediate_size", shapes[0].width}};
    out.own = {{"experts", bank_.own()}};
    router_.add_facts(out);
    shared_.add_facts(out);
    if (shapes.size() > 1 || shapes[0].kind != &expert_kinds()[0]) out.beyond = "experts that are not all SwiGLU of one width";
    if (varied_) out.unwritten = "activation, bias, shared_bias, weight_on_input, output_scale or output_bias";
    if (shared_.parameters()) out.own["shared"] = shared_.own();
    return out;
  }

  // With as many experts a row as evaluated rows chose on average; before any evaluation, as those in training.
  size_t active_parameters() const override {
    const bool training = !rows_[false];
    const double used = rows_[training] ? static_cast<double>(used_[training]) / static_cast<double>(rows_[training]) : 0;
    return static_cast<size_t>(router_.parameters()) + shared_.parameters() + static_cast<size_t>(used);
  }

 private:
  MoePart(const Table& t, const PartSite& site, const std::vector<ExpertGroupShape>& shapes)
      : arena_(site.arena), router_(t, site, count_of(shapes), "ffn"), bank_(shapes, read_ffn_variant(t, "bias"), site), shared_(t, site) {
    output_scale_ = t.number("output_scale", 1);
    weight_on_input_ = t.flag("weight_on_input", false);  // a row comes to an expert times its weight, and leaves it as it is
    if (t.flag("output_bias", false)) output_bias_ = arena_.declare(site.prefix + "ffn_exps_output.bias", {site.d}, {0, 0});
    varied_ = read_ffn_variant(t, "bias") != FfnVariant() || t.flag("shared_bias", false) || weight_on_input_ || output_scale_ != 1 || output_bias_;
  }

  // Each choice is a row of its own, which its weight has been multiplied with.
  at::Tensor experts_of_weighted(const RoutedRows& routed, const at::Tensor& x, Pass& pass) const {
    const int64_t choices = static_cast<int64_t>(routed.expert.size());
    RoutedRows alone{at::ones({choices}, x.options()), std::vector<int64_t>(static_cast<size_t>(choices) + 1), routed.expert, nullptr, routed.load};
    std::iota(alone.first.begin(), alone.first.end(), int64_t{0});
    alone.slots = std::make_shared<ExpertSlots>(expert_slots(alone.first, alone.expert, routed.load.size()));
    const at::Tensor where = rows_of_choices(routed).to(x.device());
    return at::index_add(at::zeros_like(x), 0, where, bank_.forward(alone, at::index_select(x, 0, where) * routed.weight.unsqueeze(1), pass));
  }

  Arena& arena_;
  Router router_;
  ExpertGroups bank_;
  SharedExperts shared_;
  double output_scale_;
  bool weight_on_input_;
  std::optional<size_t> output_bias_;
  bool varied_;  // has what only models have that a run starts from
  size_t used_[2] = {}, rows_[2] = {};  // parameters of chosen experts, and rows; evaluated, trained
};

}  // namespace

PartInfo moe_part() {
  return {"moe", "experts behind a router: experts, width, shared, routing, balance, gating_residual, router_deviation, hash_table", "Shazeer et al. 2017",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<MoePart>(t, site); }};
}

}  // namespace moiety
