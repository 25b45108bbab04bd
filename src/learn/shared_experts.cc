#include "learn/shared_experts.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>

#include "learn/facts.h"
#include "learn/function_linear.h"
#include "model/names.h"

namespace moiety {

SharedExperts::SharedExperts(const Table& t, const PartSite& site) : arena_(site.arena) {
  const int64_t width = static_cast<int64_t>(t.count("width", 0));
  const FfnVariant variant = read_ffn_variant(t, "shared_bias");
  for (const Table& table : t.tables("shared")) {
    Group g{read_expert_group(table, width), nullptr, {}};
    if (!g.shape.kind->has_width) table.wrong("kind", "experts that every row uses must be FFNs");
    if (g.shape.count > 1 << 20) table.wrong("count", "it is larger than 1048576");
    const std::string suffix = group_suffix("_shexp", groups_.size());
    const ExpertSite at{site.prefix, suffix, site.d, 1, g.shape.count * g.shape.width, site.deviation, site.arena, variant};
    if (table.flag("gate", false)) g.gate = arena_.declare(at.name("ffn_gate_inp"), {1, site.d}, {0, site.deviation});
    g.experts = g.shape.kind->build(at);
    parameters_ += g.experts->parameters() + (g.gate ? static_cast<size_t>(site.d) : 0);
    groups_.push_back(std::move(g));
  }
}

nlohmann::json SharedExperts::own() const {
  nlohmann::json out = nlohmann::json::array();
  for (const Group& g : groups_) out.push_back({{"kind", g.shape.kind->name}, {"width", g.shape.count * g.shape.width}, {"gate", g.gate.has_value()}});
  return out;
}

void SharedExperts::add_facts(PartFacts& facts) const {
  if (groups_.empty()) return;
  const Group& g = groups_[0];
  if (groups_.size() > 1 || g.shape.kind != &expert_kinds()[0]) facts.beyond = "several experts that every row uses, or one that is no SwiGLU";
  facts.shared_width = g.shape.count * g.shape.width, facts.shared_gate = g.gate.has_value();
}

at::Tensor SharedExperts::add_to(const at::Tensor& y, const at::Tensor& x, Pass& pass) {
  at::Tensor out = y;
  for (const Group& g : groups_) {
    const at::Tensor weight = g.gate ? at::sigmoid(linear(x, arena_.value(*g.gate), pass)).view({-1}) : at::ones({x.size(0)}, x.options());
    out = out + g.experts->forward(every_row_.slots(x.size(0)), x, weight, pass);
  }
  return out;
}

}  // namespace moiety
