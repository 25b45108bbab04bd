// kind = "multi_token": beside the next token those after it, each by one block more, which sees the rows of the one before and the token between.
//
// For row i of token t_i and depth k from 1: h_k = block(W [norm(embedding of t_(i+k)); norm(h_(k-1))]), h_0 being what the model's last block leaves; the
// model's own output matrix scores t_(i+k+1). Losses are the depths' mean, times `weight`. DeepSeek-V3, arXiv 2412.19437, section 2.2, eqs. 21 to 25; the
// names are those that GGUF has for its tensors. It serves training alone: what is evaluated and exported is the model without it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/full_like.h>

#include "learn/function_linear.h"
#include "learn/head.h"

namespace moiety {
namespace {

constexpr uint64_t most_ahead = 16;

// The targets of the rows after; none behind a sequence's last row.
at::Tensor shifted(const at::Tensor& targets, int64_t length) {
  at::Tensor out = at::full_like(targets, -1);
  out.view({-1, length}).slice(1, 0, length - 1).copy_(targets.view({-1, length}).slice(1, 1, length));
  return out;
}

class MultiToken : public HeadPart {
 public:
  MultiToken(const Table& t, const HeadSite& s) : arena_(s.part.arena), input_(s.input), output_(s.output), z_loss_(s.z_loss), weight_(t.schedule("weight", 0.3)) {
    const uint64_t ahead = t.count("ahead", 1);
    if (ahead == 0 || ahead > most_ahead) t.wrong("ahead", fmt::format("from 1 to {} tokens behind the next one are possible", most_ahead));
    const Table block = t.has("block") ? t.table("block") : s.last_block;
    for (uint32_t k = 0; k < ahead; k++) add_depth(block, s.part, s.part.layer + k);
  }

  HeadResult forward(const SumAndNorm& x, const RowContext& rows, const at::Tensor& targets, TrainingStep& step) override {
    const HeadResult out = head_loss(x.normed, arena_.value(output_), targets, z_loss_, step.pass);
    if (!step.training) return out;
    const double share = weight_.at(step.number) / static_cast<double>(depths_.size());
    at::Tensor before = x.sum, next = targets;
    for (size_t k = 0; k < depths_.size(); k++) {
      const RowContext ahead{rows.rows, rows.length, at::clamp_min(next, 0), rows.seed};  // rows without a target count nowhere
      const SumAndNorm y = depths_[k].stack.forward(joined(depths_[k], input_.forward(ahead, step), before, step.pass), depths_[k].last_norm, ahead, step);
      next = shifted(next, rows.length);
      step.losses.emplace_back(fmt::format("token_{}", k + 2), head_loss(y.normed, arena_.value(output_), next, z_loss_, step.pass).loss * share);
      before = y.sum;
    }
    return out;
  }

  void after_step(const TrainingStep& step) override {
    for (Depth& d : depths_) d.stack.after_step(step);
  }
  void see_text(std::span<const uint64_t> tokens, uint64_t seed) override {
    for (Depth& d : depths_) d.stack.see_text(tokens, seed);
  }
  std::vector<std::pair<std::string, std::span<float>>> buffers() override {
    std::vector<std::pair<std::string, std::span<float>>> out;
    for (Depth& d : depths_) std::ranges::copy(d.stack.buffers(), std::back_inserter(out));
    return out;
  }
  size_t active_parameters() const override { return arena_.parameters()[output_].count; }

 private:
  struct Depth {
    Norm embedding_norm, hidden_norm, last_norm;
    size_t join;
    BlockStack stack;  // of one block
  };

  void add_depth(const Table& block, PartSite site, uint32_t layer) {
    site.prefix = fmt::format("blk.{}.", layer), site.layer = layer;
    Norm embedding(site, "nextn.enorm"), hidden(site, "nextn.hnorm"), last(site, "nextn.shared_head_norm");
    const size_t join = arena_.declare(site.prefix + "nextn.eh_proj.weight", {site.d, 2 * site.d}, {0, site.deviation});
    depths_.push_back({embedding, hidden, last, join, {}});
    depths_.back().stack.append(block, site);
  }

  at::Tensor joined(const Depth& d, const at::Tensor& embedded, const at::Tensor& hidden, Pass& pass) const {
    return linear(at::cat({d.embedding_norm(embedded, pass), d.hidden_norm(hidden, pass)}, 1), arena_.value(d.join), pass);
  }

  Arena& arena_;
  InputPart& input_;
  size_t output_;
  float z_loss_;
  Schedule weight_;
  std::vector<Depth> depths_;
};

}  // namespace

HeadInfo multi_token_head() {
  return {"multi_token", "the tokens after the next one, too, in training: ahead, weight, block", "DeepSeek-V3, arXiv 2412.19437, section 2.2",
          [](const Table& t, const HeadSite& site) -> std::unique_ptr<HeadPart> { return std::make_unique<MultiToken>(t, site); }};
}

}  // namespace moiety
