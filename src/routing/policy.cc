#include "routing/policy.h"

#include <algorithm>

namespace moiety {

std::string RoutingPolicy::Call::text() const {
  if (arguments.empty()) return name;
  std::string out = name + "(";
  for (const Argument& a : arguments) {
    if (&a != arguments.data()) out += ", ";
    out += a.name.empty() ? a.value : a.name + "=" + a.value;
  }
  return out + ")";
}

bool RoutingPolicy::Rule::holds(uint32_t layer) const {
  return layers.empty() || std::ranges::any_of(layers, [&](const auto& range) { return layer >= range.first && layer <= range.second; });
}

Pipeline RoutingPolicy::bind(const StageSite& site, std::string_view model_text) const {
  std::vector<Pipeline::Entry> entries;
  auto add = [&](const Call& call, std::string_view text) {
    const StageInfo& info = *find_stage(call.name);
    if (!info.build) return;
    const Arguments arguments(text, call.name, call.at, call.arguments, info.signature);
    try {
      entries.push_back({call.text(), info.build(arguments, site)});
    } catch (const UsageError& e) {  // what the text alone could not tell: a k above this site's experts
      throw RoutingTextError(text, call.at, e.what());
    }
  };
  auto add_model = [&] {
    const RoutingPolicy own = parse(model_text, Allow::training);
    if (own.rules_.size() != 1 || !own.rules_[0].layers.empty()) throw UsageError("routing {}: it is the model's own for one layer, so it has no rules by layer", model_text);
    for (const Call& call : own.rules_[0].calls) {
      if (call.name == "@model") throw RoutingTextError(model_text, call.at, "@model is this text itself, the model's own");
      add(call, model_text);
    }
  };
  const auto rule = std::ranges::find_if(rules_, [&](const Rule& r) { return r.holds(site.layer); });
  if (rule == rules_.end()) {
    add_model();
  } else {
    for (const Call& call : rule->calls) {
      if (call.name == "@model") add_model();
      else add(call, source_);
    }
  }
  return Pipeline(std::move(entries), site.layer, site.all_ids());
}

RoutingPolicy RoutingPolicy::in_use() const {
  RoutingPolicy out = *this;
  for (Rule& rule : out.rules_)
    std::erase_if(rule.calls, [](const Call& call) { return call.name != "@model" && find_stage(call.name)->mark == Mark::training; });
  return out;
}

std::string RoutingPolicy::text() const {
  std::string out;
  for (const Rule& rule : rules_) {
    if (!out.empty()) out += "; ";
    if (!rule.layers.empty()) {
      out += "layers ";
      for (const auto& [low, high] : rule.layers) {
        if (out.back() != ' ') out += ',';
        out += low == high ? fmt::format("{}", low) : fmt::format("{}-{}", low, high);
      }
      out += ": ";
    } else if (rules_.size() > 1) {
      out += "all: ";
    }
    for (const Call& call : rule.calls) out += (&call == rule.calls.data() ? "" : " | ") + call.text();
  }
  return out;
}

std::string RoutingPolicy::explain() const {
  std::string out;
  for (const Rule& rule : rules_) {
    if (rule.layers.empty()) {
      out += rules_.size() > 1 ? "other layers:\n" : "every layer:\n";
    } else {
      out += "layers";
      for (const auto& [low, high] : rule.layers) out += low == high ? fmt::format(" {}", low) : fmt::format(" {} to {}", low, high);
      out += ":\n";
    }
    const StageInfo* first = find_stage(rule.calls[0].name);
    if (rule.calls.size() > 1 && !(first && first->is_source)) out += "  the router scores every expert\n";
    for (const Call& call : rule.calls)
      out += fmt::format("  {:<24} {}\n", call.text(), call.name == "@model" ? "the model's own pipeline" : find_stage(call.name)->meaning);
  }
  return out;
}

}  // namespace moiety
