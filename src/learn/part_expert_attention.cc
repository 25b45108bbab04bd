// kind = "expert_attention": queries and outputs are experts' projections, keys and values are shared by all (mixture of attention heads, Zhang et al.
// 2022, arXiv 2210.05144; JetMoE, arXiv 2404.07413). Each expert that a row chose asks with one query for each key head. Only models that a run starts
// from may have it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "base/error.h"
#include "learn/function_attention.h"
#include "learn/function_experts.h"
#include "learn/function_parameter.h"
#include "learn/function_rope.h"
#include "learn/positions.h"
#include "learn/projection.h"
#include "learn/router.h"
#include "model/config.h"

namespace moiety {
namespace {

class ExpertAttention : public ModelPart {
 public:
  ExpertAttention(const Table& t, const PartSite& site) : ExpertAttention(t, site, t.size("experts")) {}

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    Pass& pass = step.pass;
    const at::Tensor k = rope(project(x, k_, arena_, pass), rope_, rows.length, head_, pass), v = project(x, v_, arena_, pass);
    SiteRecord record = router_.route(x, rows, step);
    const RoutedRows& routed = record.routed;
    const int64_t choices = static_cast<int64_t>(routed.expert.size()), each = choices / rows.rows;  // of a row
    for (int64_t r = 0; r < rows.rows; r++)
      if (routed.first[static_cast<size_t>(r)] != r * each) throw Error("attention's experts: rows that choose different numbers of them can't be trained");
    const at::Tensor row = rows_of_choices(routed).to(x.device());
    // [rows, heads of keys, choices, head]: a key head's queries stand side by side.
    const at::Tensor queries = by_expert(routed, at::index_select(x, 0, row), queries_, pass).view({-1, each, heads_, head_}).transpose(1, 2).reshape({rows.rows, -1});
    const auto n = [](int64_t i) { return static_cast<size_t>(i); };
    const CausalShape shape{n(rows.rows / rows.length), n(rows.length), n(heads_ * each), n(heads_), n(head_), n(head_), 0, scale_};
    const at::Tensor mixed = attention(shape, rope(queries, rope_, rows.length, head_, pass), k, v, pass);
    const at::Tensor of_choices = mixed.view({-1, heads_, each, head_}).transpose(1, 2).reshape({choices, -1});
    const at::Tensor out = at::index_add(at::zeros_like(x), 0, row, by_expert(routed, of_choices, outputs_, pass) * routed.weight.unsqueeze(1));
    router_.leave(std::move(record), step);
    return output_bias_ ? add_bias(out, arena_.value(*output_bias_), pass) : out;
  }

  void after_step(const TrainingStep& step) override { router_.after_step(step); }
  std::vector<std::pair<std::string, std::span<float>>> buffers() override { return router_.buffers(); }
  int64_t router_scores() const override { return router_.scores(); }

  PartFacts facts() const override {
    PartFacts out;
    out.unwritten = "expert_attention";
    return out;
  }

  size_t active_parameters() const override { return static_cast<size_t>(router_.parameters() + 2 * heads_ * head_ * d_ * (1 + each_)); }

 private:
  ExpertAttention(const Table& t, const PartSite& site, int64_t experts) : arena_(site.arena), router_(t, site, experts, "attn"), d_(site.d), experts_(experts) {
    heads_ = t.size("heads"), head_ = t.size("head");
    if (head_ % 2 != 0) t.wrong("head", fmt::format("heads of {} numbers can't be rotated in pairs", head_));
    each_ = first_top_k(t.text("routing"));
    rope_ = read_positions(t, site.context, head_, t.number("rope", 10000));
    scale_ = static_cast<float>(t.number("scale", 1 / std::sqrt(static_cast<double>(head_))));
    const int64_t size = heads_ * head_;
    k_ = Projection(site, "attn_k", size, d_, false), v_ = Projection(site, "attn_v", size, d_, false);
    queries_ = arena_.declare(site.prefix + "attn_q_exps.weight", {experts_, size, d_}, {0, site.deviation});
    outputs_ = arena_.declare(site.prefix + "attn_output_exps.weight", {experts_, d_, size}, {0, site.deviation});
    if (t.flag("output_bias", false)) output_bias_ = arena_.declare(site.prefix + "attn_exps_output.bias", {d_}, {0, 0});
  }

  // Each choice's row times its expert's matrix.   x: [choices, n]
  at::Tensor by_expert(const RoutedRows& routed, const at::Tensor& x, size_t weights, Pass& pass) const {
    const std::vector<at::Tensor> matrices = in_graph(arena_.value(weights), pass).unbind(0);
    const at::Tensor choice = choices_by_expert(*routed.slots).to(x.device()), inputs = at::index_select(x, 0, choice);
    std::vector<at::Tensor> products;
    for (size_t e = 0; e < matrices.size(); e++) {
      const int64_t begin = static_cast<int64_t>(routed.slots->first_of_expert[e]), end = static_cast<int64_t>(routed.slots->first_of_expert[e + 1]);
      if (end > begin) products.push_back(at::matmul(inputs.narrow(0, begin, end - begin), matrices[e].t()));
    }
    const at::Tensor out = at::cat(products);
    return at::index_copy(at::zeros_like(out), 0, choice, out);
  }

  Arena& arena_;
  Router router_;
  int64_t d_, experts_, heads_, head_, each_;
  float scale_;
  RopeTable rope_;
  Projection k_, v_;
  size_t queries_, outputs_;
  std::optional<size_t> output_bias_;
};

}  // namespace

PartInfo expert_attention_part() {
  return {"expert_attention", "queries and outputs are experts': experts, heads, head, routing, balance, rope, scale, output_bias", "Zhang et al. 2022, arXiv 2210.05144",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<ExpertAttention>(t, site); }};
}

}  // namespace moiety
