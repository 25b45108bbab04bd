// What a run costs: bytes of weights and caches that are read, and multiplications but for those of attention.
#pragma once
#include "observe/load.h"

namespace moiety {

// Counts a run's experts on the way; what every token needs is known from the model.
class WorkCounter : public Observer {
 public:
  // `load` hears of the routing too.
  WorkCounter(const Model& model, LoadCounter& load);
  void routed(const Site& site, std::span<const StepRow> rows, ConstRows features, ConstRows scores, const RoutingPlan& plan) override;
  void block_ran(const Block& block, std::span<const StepRow> rows, ConstRows before, ConstRows after) override;

  // Every weight once a step, of experts those that some row chose, and of each sequence the cached rows that its last row sees; it is also
  // the only row that the output head is counted for.
  double bytes_read() const { return bytes_read_; }
  double active_bytes() const { return active_bytes_; }  // over all tokens: weights that the token used
  double macs() const { return macs_; }

 private:
  struct Expert {
    double bytes = 0, elements = 0;
  };
  LoadCounter& load_;
  std::vector<std::vector<Expert>> experts_;  // by site
  double dense_bytes_ = 0, dense_elements_ = 0, head_elements_ = 0;
  double bytes_read_ = 0, active_bytes_ = 0, macs_ = 0;
};

}  // namespace moiety
