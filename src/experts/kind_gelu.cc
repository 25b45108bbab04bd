// down(gelu(up x)), by the error function.   Hendrycks and Gimpel 2016, arXiv 1606.08415.
#include "experts/kind.h"
#include "kernels/ops.h"

namespace moiety {
namespace {

void unit(std::span<float> values) {
  for (float& x : values) x = gelu(x);
}

}  // namespace

extern const ExpertKind gelu_expert;
constinit const ExpertKind gelu_expert = {.name = "gelu", .config_name = "gelu", .parts = plain_ffn_expert_parts, .unit = unit};

}  // namespace moiety
