// How often each expert was chosen: the smallest trace there is.
#pragma once
#include <string>
#include <vector>

#include "model/observer.h"
#include "model/step.h"

namespace moiety {

class LoadCounter : public Observer {
 public:
  struct SiteLoad {
    uint32_t layer = 0;
    std::string name;
    std::vector<uint64_t> counts;  // by expert
    uint64_t rows = 0;
  };
  void routed(const Site& site, std::span<const StepRow>, ConstRows, ConstRows, const RoutingPlan& plan) override {
    if (sites_.size() <= site.index) sites_.resize(site.index + 1);
    SiteLoad& load = sites_[site.index];
    load.layer = site.layer, load.name = site.name;
    load.counts.resize(site.bank->size());
    for (size_t r = 0; r < plan.rows(); r++, load.rows++)
      for (const Choice& choice : plan[r]) load.counts[choice.expert]++;
  }
  const std::vector<SiteLoad>& sites() const { return sites_; }

 private:
  std::vector<SiteLoad> sites_;
};

// Rows of blocks, a line a site: darker where an expert works more. At most `width` columns; experts share one where they are more.
std::string heat_map(const std::vector<LoadCounter::SiteLoad>& sites, size_t width, bool colours);

}  // namespace moiety
