#include <algorithm>

#include "experts/kind.h"

namespace moiety {

extern const ExpertKind gelu_expert, relu_expert, zero_expert, constant_expert;

std::span<const ExpertKind* const> all_expert_kinds() {
  static constexpr const ExpertKind* all[] = {&ffn_expert, &gelu_expert, &relu_expert, &zero_expert, &copy_expert, &constant_expert, &attention_expert};
  return all;
}

bool ExpertKind::has_width() const {
  return std::ranges::any_of(parts, [](const PartShape& p) { return p.rows == PartSize::width || p.cols == PartSize::width; });
}

}  // namespace moiety
