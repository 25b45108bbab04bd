// Experts that every row uses beside those it chose, each with a gate or without.
//
// Dai et al. 2024, "DeepSeekMoE", arXiv 2401.06066, eq. 9; with a gate as in Qwen2-MoE.
#pragma once
#include "learn/expert_groups.h"
#include "learn/every_row.h"

namespace moiety {

class SharedExperts {
 public:
  // The table's `shared`, a table {count = 1, kind = "swiglu", width, gate = false} or a list of them; nothing if it has none.
  SharedExperts(const Table& table, const PartSite& site);

  // y with the outputs of all of them added.   [rows, d]
  at::Tensor add_to(const at::Tensor& y, const at::Tensor& x, Pass& pass);
  size_t parameters() const { return parameters_; }
  nlohmann::json own() const;  // the list "shared" of model/config_own.h
  void add_facts(PartFacts& facts) const;

 private:
  // Experts of one width that are all used are one that is as wide as they are together.
  struct Group {
    ExpertGroupShape shape;
    std::unique_ptr<ExpertGroup> experts;
    std::optional<size_t> gate;  // [1, d]
  };
  Arena& arena_;
  std::vector<Group> groups_;
  EveryRow every_row_;
  size_t parameters_ = 0;
};

}  // namespace moiety
