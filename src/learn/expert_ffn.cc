#include "learn/expert_ffn.h"

namespace moiety {
namespace {

class FfnGroup : public ExpertGroup {
 public:
  FfnGroup(const ExpertFunction& function, std::string_view in, const ExpertSite& s) : function_(function), arena_(s.arena) {
    const int64_t wide = static_cast<int64_t>(function.form.inner) * s.width;
    in_ = arena_.declare(s.name(in), {s.count, wide, s.d}, {0, s.deviation});
    down_ = arena_.declare(s.name("ffn_down"), {s.count, s.d, s.width}, {0, s.deviation});
    parameters_ = static_cast<size_t>((wide + s.width) * s.d);
  }

  at::Tensor forward(const std::shared_ptr<const ExpertSlots>& slots, const at::Tensor& x, const at::Tensor& weight, Pass& pass) const override {
    return experts(function_, slots, x, weight, {arena_.value(in_), arena_.value(down_)}, pass);
  }

  size_t parameters() const override { return parameters_; }

 private:
  const ExpertFunction& function_;
  Arena& arena_;
  size_t in_, down_, parameters_;
};

}  // namespace

std::unique_ptr<ExpertGroup> ffn_group(const ExpertFunction& function, std::string_view in, const ExpertSite& site) {
  return std::make_unique<FfnGroup>(function, in, site);
}

}  // namespace moiety
