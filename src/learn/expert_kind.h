// What an expert can be: kinds in a table, a file each (learn/expert_*.cc), listed in learn/registry.cc.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gradients/grouped_experts.h"
#include "learn/ffn_variant.h"
#include "learn/pass.h"

namespace moiety {

// Experts of one kind and width whose ids follow each other.
class ExpertGroup {
 public:
  virtual ~ExpertGroup() = default;
  // slots: of this group's experts, from 0; weight: [slots] row by row. The sum over each row's choices of weight * expert(x), [rows, d]; undefined
  // where the kind adds nothing.
  virtual at::Tensor forward(const std::shared_ptr<const ExpertSlots>& slots, const at::Tensor& x, const at::Tensor& weight, Pass& pass) const = 0;
  virtual size_t parameters() const = 0;  // of one expert
};

// Where a group stands.
struct ExpertSite {
  std::string prefix, suffix;  // around a parameter's name: "blk.3.", "_exps.1"
  int64_t d, count, width;     // width: 0 where the kind has none
  float deviation;             // of weights before training
  Arena& arena;
  FfnVariant variant = {};  // of FFNs with a gate

  std::string name(std::string_view part, std::string_view what = ".weight") const { return prefix + std::string(part) + suffix + std::string(what); }
};

struct ExpertKindInfo {
  std::string_view name, meaning, source;
  bool has_width;  // an FFN; the others compute next to nothing
  std::unique_ptr<ExpertGroup> (*build)(const ExpertSite& site);
};
std::span<const ExpertKindInfo> expert_kinds();

}  // namespace moiety
