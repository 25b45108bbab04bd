// The input.   Jin et al. 2024, "MoE++", arXiv 2410.07348; the identity of LongCat-Flash.
#include <algorithm>

#include "experts/kind.h"

namespace moiety {
namespace {

class Copy : public RowExpert {
 public:
  void output(std::span<const float> x, size_t, size_t begin, std::span<float> y) const override { std::ranges::copy(x.subspan(begin, y.size()), y.begin()); }
};

std::unique_ptr<RowExpert> serve(const ExpertView&, ConstRows, std::span<const uint32_t>, Workers&) { return std::make_unique<Copy>(); }

}  // namespace

constinit const ExpertKind copy_expert = {.name = "copy", .config_name = "copy", .parts = {}, .serve = serve};

}  // namespace moiety
