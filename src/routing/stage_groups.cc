// groups(n, keep, rank): experts stand in n equal groups by id; only those of the `keep` best groups stay candidates.
//
// A group ranks by its largest score (DeepSeek-V2, arXiv 2405.04434, section 2.2.2) or by the sum of its two largest (DeepSeek-V3,
// arXiv 2412.19437). Ties go to the lower group. Reads choose.
#include <algorithm>
#include <limits>

#include "routing/registry.h"

namespace moiety {
namespace {

class Groups : public RowStage {
 public:
  Groups(uint32_t size, uint32_t groups, uint32_t keep, bool sum_of_two) : size_(size), groups_(groups), keep_(keep), sum_of_two_(sum_of_two) {}

  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    constexpr float none = -std::numeric_limits<float>::infinity();
    struct Best {
      uint32_t group;
      float first = none, second = none;
      bool kept = false;
    };
    static thread_local std::vector<Best> best;
    static thread_local std::vector<std::pair<float, uint32_t>> ranked;
    best.assign(groups_, {});
    for (const Candidate& c : candidates) {
      Best& b = best[c.expert / size_];
      if (c.choose > b.first) b.second = b.first, b.first = c.choose;
      else if (c.choose > b.second) b.second = c.choose;
    }
    ranked.clear();
    for (uint32_t g = 0; g < groups_; g++)
      ranked.emplace_back(sum_of_two_ && best[g].second != none ? best[g].first + best[g].second : best[g].first, g);
    std::ranges::sort(ranked, [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    for (uint32_t i = 0; i < keep_; i++) best[ranked[i].second].kept = true;
    std::erase_if(candidates, [&](const Candidate& c) { return !best[c.expert / size_].kept; });
  }

 private:
  uint32_t size_, groups_, keep_;
  bool sum_of_two_;
};

}  // namespace

StageInfo groups_stage() {
  return {.name = "groups", .signature = "n:count, keep:count, rank:max|sum2=sum2",
          .meaning = "of n equal groups of experts only the `keep` best stay, ranked by their largest score or the sum of their two largest",
          .source = "DeepSeek-V2, arXiv 2405.04434; DeepSeek-V3, arXiv 2412.19437",
          .build = [](const Arguments& a, const StageSite& site) -> AnyStage {
            const uint32_t n = a.count("n"), keep = a.count("keep");
            if (n > site.experts || site.experts % n != 0)
              throw UsageError("routing stage groups: {} experts of layer {} do not divide into {} groups", site.experts, site.layer, n);
            if (keep > n) throw UsageError("routing stage groups: {} of {} groups cannot be kept", keep, n);
            return std::make_unique<Groups>(site.experts / n, n, keep, a.word("rank") == "sum2");
          }};
}

}  // namespace moiety
