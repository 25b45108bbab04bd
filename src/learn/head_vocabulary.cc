// kind = "vocabulary": every token's score for coming next, and their cross entropy.
#include "learn/head.h"

namespace moiety {
namespace {

class Vocabulary : public HeadPart {
 public:
  explicit Vocabulary(const HeadSite& s) : arena_(s.part.arena), output_(s.output), z_loss_(s.z_loss) {}

  HeadResult forward(const SumAndNorm& x, const RowContext&, const at::Tensor& targets, TrainingStep& step) override {
    return head_loss(x.normed, arena_.value(output_), targets, z_loss_, step.pass);
  }
  size_t active_parameters() const override { return arena_.parameters()[output_].count; }

 private:
  Arena& arena_;
  size_t output_;
  float z_loss_;
};

}  // namespace

HeadInfo vocabulary_head() {
  return {"vocabulary", "every token's score for coming next", "", [](const Table&, const HeadSite& site) -> std::unique_ptr<HeadPart> { return std::make_unique<Vocabulary>(site); }};
}

}  // namespace moiety
