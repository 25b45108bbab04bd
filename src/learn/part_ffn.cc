// kind = "dense": one SwiGLU FFN for every row. Shazeer 2020, "GLU Variants Improve Transformer".
#include <ATen/ops/ones.h>

#include "learn/every_row.h"
#include "learn/expert_kind.h"
#include "learn/facts.h"
#include "learn/part.h"

namespace moiety {
namespace {

class DensePart : public ModelPart {
 public:
  DensePart(const Table& t, const PartSite& site) {
    width_ = static_cast<int64_t>(t.count("width"));
    if (width_ == 0) t.wrong("width", "it must not be 0");
    // The first kind.
    variant_ = read_ffn_variant(t, "bias");
    expert_ = expert_kinds()[0].build({site.prefix, "", site.d, 1, width_, site.deviation, site.arena, variant_});
  }

  // One expert that serves all rows.
  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    return expert_->forward(every_row_.slots(rows.rows), x, at::ones({rows.rows}, x.options()), step.pass);
  }

  PartFacts facts() const override {
    PartFacts out;
    out.config = {{"intermediate_size", width_}};
    if (variant_ != FfnVariant()) out.unwritten = "activation or bias";
    out.own = {{"width", width_}};
    return out;
  }

  size_t active_parameters() const override { return expert_->parameters(); }

 private:
  int64_t width_;
  FfnVariant variant_;
  std::unique_ptr<ExpertGroup> expert_;
  EveryRow every_row_;
};

}  // namespace

PartInfo dense_part() {
  return {"dense", "one SwiGLU FFN: width", "Shazeer 2020",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<DensePart>(t, site); }};
}

}  // namespace moiety
