#include "learn/expert_ffn.h"

#include <optional>

namespace moiety {
namespace {

class FfnGroup : public ExpertGroup {
 public:
  FfnGroup(const ExpertFunction& function, std::string_view in, const ExpertSite& s) : function_(function), arena_(s.arena) {
    const int64_t wide = (in == "ffn_gate_up" ? 2 : 1) * s.width;
    in_ = arena_.declare(s.name(in), {s.count, wide, s.d}, {0, s.deviation});
    down_ = arena_.declare(s.name("ffn_down"), {s.count, s.d, s.width}, {0, s.deviation});
    if (s.variant.bias) {
      in_bias_ = arena_.declare(s.name(in, ".bias"), {s.count, wide}, {0, 0});
      down_bias_ = arena_.declare(s.name("ffn_down", ".bias"), {s.count, s.d}, {0, 0});
    }
    parameters_ = static_cast<size_t>((wide + s.width) * s.d);
  }

  at::Tensor forward(const std::shared_ptr<const ExpertSlots>& slots, const at::Tensor& x, const at::Tensor& weight, Pass& pass) const override {
    const auto bias = [&](std::optional<size_t> b) { return b ? arena_.value(*b) : at::Tensor(); };
    return experts(function_, slots, x, weight, {arena_.value(in_), arena_.value(down_), bias(in_bias_), bias(down_bias_)}, pass);
  }

  size_t parameters() const override { return parameters_; }

 private:
  ExpertFunction function_;
  Arena& arena_;
  size_t in_, down_, parameters_;
  std::optional<size_t> in_bias_, down_bias_;
};

}  // namespace

std::unique_ptr<ExpertGroup> ffn_group(const ExpertFunction& function, std::string_view in, const ExpertSite& site) {
  return std::make_unique<FfnGroup>(function, in, site);
}

}  // namespace moiety
