// Who was routed where: every choice of every token, collected during a forward pass.
#pragma once
#include <filesystem>
#include <vector>

#include "formats/npy.h"
#include "model/observer.h"
#include "model/step.h"

namespace moiety {

struct SiteTrace {
  int32_t layer = 0;
  bool attention = false;
  uint32_t experts = 0;  // ids of the bank
  std::vector<std::vector<Choice>> rows;  // [tokens] in descending weight
  std::vector<float> scores;              // [tokens, experts] router logits, where asked for
};

class Tracer : public Observer {
 public:
  explicit Tracer(bool scores) : scores_(scores) {}
  void routed(const Site& site, std::span<const StepRow> rows, ConstRows features, ConstRows scores, const RoutingPlan& plan) override;
  // Tokens of a text that was evaluated; texts follow each other.
  void add_text(std::span<const int32_t> ids);

  const std::vector<SiteTrace>& sites() const { return sites_; }
  // The arrays of `moiety trace`: tokens, layers, counts, experts, weights; attn_layers …; scores; sequence and position with several texts.
  NpzArrays arrays() const;

 private:
  bool scores_;
  std::vector<SiteTrace> sites_;
  std::vector<int32_t> tokens_, sequence_, position_;
  int32_t texts_ = 0;
};

}  // namespace moiety
