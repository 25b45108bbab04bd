// kind = "dense": one SwiGLU FFN for every row. Shazeer 2020, "GLU Variants Improve Transformer".
#include <ATen/ops/ones.h>

#include "learn/facts.h"
#include "learn/function_experts.h"
#include "learn/part.h"

namespace moiety {
namespace {

class DensePart : public ModelPart {
 public:
  DensePart(const Table& t, const PartSite& site) : arena_(site.arena), d_(site.d) {
    width_ = static_cast<int64_t>(t.count("width"));
    if (width_ == 0) t.wrong("width", "it must not be 0");
    gate_up_ = arena_.declare(site.prefix + "ffn_gate_up.weight", {1, 2 * width_, d_}, {0, site.deviation});
    down_ = arena_.declare(site.prefix + "ffn_down.weight", {1, d_, width_}, {0, site.deviation});
  }

  // One expert that serves all rows.
  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    if (!slots_ || slots_->rows() != static_cast<size_t>(rows.rows)) {
      std::vector<int64_t> first(static_cast<size_t>(rows.rows) + 1);
      for (size_t i = 0; i < first.size(); i++) first[i] = static_cast<int64_t>(i);
      slots_ = std::make_shared<ExpertSlots>(expert_slots(first, std::vector<int32_t>(static_cast<size_t>(rows.rows), 0), 1));
    }
    return swiglu_experts(slots_, x, at::ones({rows.rows}, x.options()), arena_.value(gate_up_), arena_.value(down_), step.pass);
  }

  PartFacts facts() const override { return {{{"intermediate_size", width_}}, "", ""}; }

  size_t active_parameters() const override { return static_cast<size_t>(3 * width_ * d_); }

 private:
  Arena& arena_;
  int64_t d_, width_;
  size_t gate_up_, down_;
  std::shared_ptr<const ExpertSlots> slots_;
};

}  // namespace

PartInfo dense_part() {
  return {"dense", "one SwiGLU FFN: width", "Shazeer 2020",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<DensePart>(t, site); }};
}

}  // namespace moiety
