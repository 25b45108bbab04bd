#include "learn/expert_groups.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros_like.h>

#include "model/names.h"

namespace moiety {
namespace {

constexpr int64_t most_experts = 1 << 16;

// The choices of one group.
struct GroupPlan {
  std::shared_ptr<const ExpertSlots> slots;
  at::Tensor place;  // [slots] of each among all choices
};

GroupPlan plan_of(const RoutedRows& routed, size_t begin, size_t end) {
  std::vector<int64_t> first{0}, place;
  std::vector<int32_t> expert;
  for (size_t r = 0; r + 1 < routed.first.size(); r++) {
    for (int64_t i = routed.first[r]; i < routed.first[r + 1]; i++) {
      const size_t id = static_cast<size_t>(routed.expert[static_cast<size_t>(i)]);
      if (id < begin || id >= end) continue;
      place.push_back(i);
      expert.push_back(static_cast<int32_t>(id - begin));
    }
    first.push_back(static_cast<int64_t>(place.size()));
  }
  at::Tensor index = at::empty({static_cast<int64_t>(place.size())}, at::kLong);
  std::ranges::copy(place, index.data_ptr<int64_t>());
  return {std::make_shared<ExpertSlots>(expert_slots(first, expert, end - begin)), index};
}

}  // namespace

ExpertGroupShape read_expert_group(const Table& t, int64_t width) {
  ExpertGroupShape out{&named(expert_kinds(), t, "kind", "swiglu"), static_cast<int64_t>(t.count("count", 1)), 0};
  if (out.count == 0) t.wrong("count", "it must not be 0");
  if (!out.kind->has_width) return out;
  out.width = width && !t.has("width") ? width : static_cast<int64_t>(t.count("width"));
  if (out.width == 0) t.wrong("width", "it must not be 0");
  return out;
}

std::vector<ExpertGroupShape> read_experts(const Table& t) {
  std::vector<ExpertGroupShape> out;
  if (t.has_tables("experts")) {
    const int64_t width = static_cast<int64_t>(t.count("width", 0));
    for (const Table& group : t.tables("experts")) out.push_back(read_expert_group(group, width));
  } else {
    out.push_back({&expert_kinds()[0], static_cast<int64_t>(t.count("experts")), static_cast<int64_t>(t.count("width"))});
    if (out[0].count == 0) t.wrong("experts", "it must not be 0");
    if (out[0].width == 0) t.wrong("width", "it must not be 0");
  }
  int64_t all = 0;
  for (const ExpertGroupShape& g : out) all += g.count;
  if (all == 0) t.wrong("experts", "it must not be empty");
  if (all > most_experts) t.wrong("experts", fmt::format("{} experts in all are more than {}", all, most_experts));
  return out;
}

ExpertGroups::ExpertGroups(const std::vector<ExpertGroupShape>& shapes, const FfnVariant& variant, const PartSite& site) {
  for (const ExpertGroupShape& shape : shapes) {
    const ExpertSite at{site.prefix, group_suffix("_exps", groups_.size()), site.d, shape.count, shape.width, site.deviation, site.arena, variant};
    group_of_.insert(group_of_.end(), static_cast<size_t>(shape.count), static_cast<uint32_t>(groups_.size()));
    const size_t declared = site.arena.parameters().size();
    groups_.push_back({static_cast<size_t>(count_), shape, shape.kind->build(at)});
    for (size_t i = declared; i < site.arena.parameters().size(); i++) site.arena.parameters()[i].first_expert = static_cast<size_t>(count_);
    count_ += shape.count;
  }
}

at::Tensor ExpertGroups::forward(const RoutedRows& routed, const at::Tensor& x, Pass& pass) const {
  at::Tensor y;
  for (const Group& g : groups_) {
    at::Tensor one;
    if (groups_.size() == 1) {
      one = g.experts->forward(routed.slots, x, routed.weight, pass);
    } else {
      const GroupPlan plan = plan_of(routed, g.first, g.first + static_cast<size_t>(g.shape.count));
      one = g.experts->forward(plan.slots, x, at::index_select(routed.weight, 0, plan.place.to(routed.weight.device())), pass);
    }
    if (one.defined()) y = y.defined() ? y + one : one;
  }
  return y.defined() ? y : at::zeros_like(x);
}

std::vector<ExpertGroupShape> ExpertGroups::shapes() const {
  std::vector<ExpertGroupShape> out;
  for (const Group& g : groups_) out.push_back(g.shape);
  return out;
}

nlohmann::json ExpertGroups::own() const {
  nlohmann::json out = nlohmann::json::array();
  for (const Group& g : groups_) {
    out.push_back({{"kind", g.shape.kind->name}, {"count", g.shape.count}});
    if (g.shape.width) out.back()["width"] = g.shape.width;
  }
  return out;
}

std::vector<bool> ExpertGroups::computing() const {
  std::vector<bool> out;
  for (const Group& g : groups_) out.insert(out.end(), static_cast<size_t>(g.shape.count), g.shape.kind->has_width);
  return out;
}

}  // namespace moiety
