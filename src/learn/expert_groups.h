// The experts of a site: groups of one kind and width, their ids one after another.
#pragma once
#include <nlohmann/json.hpp>
#include <vector>

#include "learn/expert_kind.h"
#include "learn/function_routing.h"
#include "learn/part.h"

namespace moiety {

struct ExpertGroupShape {
  const ExpertKindInfo* kind;
  int64_t count, width;  // width: 0 where the kind has none
};

// A table's `experts`: a number of SwiGLU experts of the table's `width`, or a list of tables {count = 1, kind = "swiglu", width}, whose `width` is the
// table's where they give none. Counts are at least 1 and widths too; all together at most 2^16 experts.
std::vector<ExpertGroupShape> read_experts(const Table& table);
// One of those tables.
ExpertGroupShape read_expert_group(const Table& table, int64_t width);

class ExpertGroups {
 public:
  ExpertGroups(const std::vector<ExpertGroupShape>& shapes, const FfnVariant& variant, const PartSite& site);

  int64_t count() const { return count_; }
  // The weighted sum of each row's experts.   [rows, d]
  at::Tensor forward(const RoutedRows& routed, const at::Tensor& x, Pass& pass) const;
  // Of the expert with that id.
  size_t parameters(size_t expert) const { return groups_[group_of_[expert]].experts->parameters(); }
  std::vector<bool> computing() const;  // [experts] whether it is an FFN
  std::vector<ExpertGroupShape> shapes() const;
  nlohmann::json own() const;  // the list "experts" of model/config_own.h

 private:
  struct Group {
    size_t first;  // id
    ExpertGroupShape shape;
    std::unique_ptr<ExpertGroup> experts;
  };
  std::vector<Group> groups_;
  std::vector<uint32_t> group_of_;  // [experts]
  int64_t count_ = 0;
};

}  // namespace moiety
