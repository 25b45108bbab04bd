// down(max(up x, 0)).   Vaswani et al. 2017, arXiv 1706.03762.
#include <algorithm>

#include "experts/kind.h"

namespace moiety {
namespace {

void unit(std::span<float> values) {
  for (float& x : values) x = std::max(x, 0.0f);
}

}  // namespace

extern const ExpertKind relu_expert;
constinit const ExpertKind relu_expert = {.name = "relu", .config_name = "relu", .parts = plain_ffn_expert_parts, .unit = unit};

}  // namespace moiety
