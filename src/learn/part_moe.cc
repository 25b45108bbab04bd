// kind = "moe": a router, the engine's routing text, and a bank of experts.
#include "learn/balance.h"
#include "learn/facts.h"
#include "learn/function_experts.h"
#include "learn/function_linear.h"
#include "learn/part.h"
#include "routing/policy.h"

namespace moiety {
namespace {

class MoePart : public ModelPart {
 public:
  MoePart(const Table& t, const PartSite& site) : arena_(site.arena), name_(site.prefix.substr(0, site.prefix.size() - 1)), layer_(site.layer), d_(site.d) {
    experts_ = static_cast<int64_t>(t.count("experts"));
    width_ = static_cast<int64_t>(t.count("width"));
    if (experts_ == 0) t.wrong("experts", "it must not be 0");
    if (width_ == 0) t.wrong("width", "it must not be 0");
    const std::string routing = t.text("routing");
    StageSite stage_site{site.layer, site.layer, static_cast<uint32_t>(experts_), {[this](std::string_view name) { return buffer(name); }}, 0};
    bias_.assign(static_cast<size_t>(experts_), 0.0f);
    try {
      pipeline_ = std::make_unique<Pipeline>(RoutingPolicy::parse(routing).bind(stage_site, routing));
    } catch (const UsageError& e) {
      t.wrong("routing", e.what());
    }
    if (pipeline_->has_cohort_stage() || pipeline_->carry_size() > 0 || pipeline_->memory_size() > 0)
      t.wrong("routing", "stages that see other rows, or remember, can't be trained yet");
    balance_ = balances(t.text("balance", "none"), t);
    const float router = static_cast<float>(t.number("router_deviation", site.deviation));
    router_ = arena_.declare(site.prefix + "ffn_gate_inp.weight", {experts_, d_}, {0, router});
    gate_up_ = arena_.declare(site.prefix + "ffn_gate_up_exps.weight", {experts_, 2 * width_, d_}, {0, site.deviation});
    down_ = arena_.declare(site.prefix + "ffn_down_exps.weight", {experts_, d_, width_}, {0, site.deviation});
  }

  at::Tensor forward(const at::Tensor& x, const RowContext&, TrainingStep& step) override {
    SiteRecord record{name_, layer_, static_cast<size_t>(experts_), linear(x, arena_.value(router_), step.pass), {}};
    record.routed = route(*pipeline_, record.logits, x, step.pass);
    const at::Tensor y = swiglu_experts(record.routed.slots, x, record.routed.weight, arena_.value(gate_up_), arena_.value(down_), step.pass);
    chosen_ += record.routed.expert.size(), rows_ += static_cast<size_t>(x.size(0));
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

  std::vector<std::pair<std::string, std::span<float>>> buffers() override { return {{name_ + ".exp_probs_b.bias", bias_}}; }

  PartFacts facts() const override {
    std::string text;
    for (const Pipeline::Entry& e : pipeline_->entries()) text += (text.empty() ? "" : " | ") + e.text;
    return {{{"num_experts", experts_}, {"moe_intermediate_size", width_}, {"intermediate_size", width_}}, "", text};
  }

  // With as many experts a row as the rows so far chose on average.
  size_t active_parameters() const override {
    const double k = rows_ ? static_cast<double>(chosen_) / static_cast<double>(rows_) : 0;
    return static_cast<size_t>(static_cast<double>(experts_ * d_) + k * static_cast<double>(3 * width_ * d_));
  }

 private:
  std::span<const float> buffer(std::string_view name) const {
    return name == "bias" ? std::span<const float>(bias_) : std::span<const float>();
  }

  Arena& arena_;
  std::string name_;
  uint32_t layer_;
  int64_t d_, experts_, width_;
  std::unique_ptr<Pipeline> pipeline_;
  std::vector<Balance> balance_;
  std::vector<float> bias_;  // [experts] a buffer: rules change it, gradients don't
  size_t router_, gate_up_, down_;
  size_t chosen_ = 0, rows_ = 0;
};

}  // namespace

PartInfo moe_part() {
  return {"moe", "experts behind a router: experts, width, routing, balance, router_deviation", "Shazeer et al. 2017",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<MoePart>(t, site); }};
}

}  // namespace moiety
