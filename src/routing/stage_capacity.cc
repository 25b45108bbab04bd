// capacity(factor): an expert serves at most ceil(factor * choices / experts) of the rows that are trained together; later ones go without it.
//
// Fedus, Zoph, Shazeer 2021, "Switch Transformers", arXiv 2101.03961, eq. 3. For training only, where it bounds an expert's work: it looks across
// rows, so a model that is used runs without it.
#include <cmath>

#include "routing/registry.h"

namespace moiety {
namespace {

class Capacity : public CohortStage {
 public:
  Capacity(double factor, uint32_t experts) : factor_(factor), experts_(experts) {}
  Mark mark() const override { return Mark::training; }

  void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>> rows) const override {
    size_t choices = 0;
    for (const auto& row : rows) choices += row.size();
    const double most = std::ceil(factor_ * static_cast<double>(choices) / static_cast<double>(experts_));
    std::vector<size_t> load(experts_);
    for (auto& row : rows) std::erase_if(row, [&](const Candidate& c) { return static_cast<double>(++load[c.expert]) > most; });
  }

 private:
  double factor_;
  size_t experts_;
};

}  // namespace

StageInfo capacity_stage() {
  return {.name = "capacity", .signature = "factor:number",
          .meaning = "an expert serves at most factor times its even share of the rows trained together, the first ones; while training",
          .source = "Fedus et al. 2021, arXiv 2101.03961, eq. 3", .mark = Mark::training,
          .build = [](const Arguments& a, const StageSite& site) -> AnyStage {
            if (!(a.number("factor") > 0)) throw UsageError("routing stage capacity: the factor must be above 0");
            return std::make_unique<Capacity>(a.number("factor"), site.all_ids());
          }};
}

}  // namespace moiety
