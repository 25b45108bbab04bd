#include "routing/registry.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/nearest.h"

namespace moiety {

// One function a file: stage_NAME.cc.
StageInfo linear_stage();
StageInfo hash_stage();
StageInfo softmax_stage();
StageInfo sigmoid_stage();
StageInfo temperature_stage();
StageInfo bias_stage();
StageInfo groups_stage();
StageInfo top_k_stage();
StageInfo top_p_stage();
StageInfo min_p_stage();
StageInfo threshold_stage();
StageInfo sparsemixer_stage();
StageInfo keep_stage();
StageInfo drop_stage();
StageInfo only_stage();
StageInfo boost_stage();
StageInfo rank_stage();
StageInfo random_stage();
StageInfo noise_stage();
StageInfo capacity_stage();
StageInfo renorm_stage();
StageInfo scale_stage();

std::span<const StageInfo> stages() {
  static const std::array all = {
      linear_stage(), hash_stage(), softmax_stage(),    sigmoid_stage(), temperature_stage(), bias_stage(), noise_stage(), random_stage(),
      groups_stage(), top_k_stage(), top_p_stage(),      min_p_stage(),   threshold_stage(),   rank_stage(), sparsemixer_stage(), keep_stage(),
      drop_stage(),   only_stage(), boost_stage(),      renorm_stage(),  scale_stage(),       capacity_stage(),
  };
  return all;
}

const StageInfo* find_stage(std::string_view name) {
  for (const StageInfo& info : stages())
    if (info.name == name) return &info;
  return nullptr;
}

std::string_view nearest_stage(std::string_view name) {
  return std::ranges::min_element(stages(), {}, [&](const StageInfo& info) { return edit_distance(name, info.name); })->name;
}

std::string_view mark_name(Mark mark) {
  constexpr std::string_view names[] = {"row", "batch", "future", "residency", "training"};
  return names[static_cast<size_t>(mark)];
}

}  // namespace moiety
