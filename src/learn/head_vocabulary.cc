// kind = "vocabulary": every token's score for coming next, and their cross entropy.
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include "learn/function_parameter.h"
#include "learn/head.h"

namespace moiety {
namespace {

class Vocabulary : public HeadPart {
 public:
  explicit Vocabulary(const HeadSite& s) : arena_(s.part.arena), output_(s.output), bias_(s.bias), z_loss_(s.z_loss) {}

  HeadResult forward(const SumAndNorm& x, const RowContext&, const at::Tensor& targets, TrainingStep& step) override {
    if (!bias_) return head_loss(x.normed, arena_.value(output_), targets, z_loss_, step.pass);
    // One more number of every row, which is 1, meets the bias.
    const at::Tensor rows = at::cat({x.normed, at::ones({x.normed.size(0), 1}, x.normed.options())}, 1);
    return head_loss(rows, at::cat({in_graph(arena_.value(output_), step.pass), in_graph(arena_.value(*bias_), step.pass).unsqueeze(1)}, 1), targets, z_loss_, step.pass);
  }
  size_t active_parameters() const override { return arena_.parameters()[output_].count; }

 private:
  Arena& arena_;
  size_t output_;
  std::optional<size_t> bias_;
  float z_loss_;
};

}  // namespace

HeadInfo vocabulary_head() {
  return {"vocabulary", "every token's score for coming next", "", [](const Table&, const HeadSite& site) -> std::unique_ptr<HeadPart> { return std::make_unique<Vocabulary>(site); }};
}

}  // namespace moiety
