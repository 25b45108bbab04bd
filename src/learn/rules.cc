#include "learn/rules.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <optional>
#include <set>

#include "learn/pieces.h"
#include "learn/rule.h"
#include "routing/arguments.h"

namespace moiety {
namespace {

// Parameters that a rule's `which` names together, by a glob.
struct Group {
  std::string_view name, glob;
};
constexpr std::string_view stacks = "blk.*.ffn_*_exps.*";
constexpr Group groups[] = {{"all", "*"},
                            {"router", "blk.*.ffn_gate_inp.* blk.*.attn_gate_inp.*"},
                            {"experts", stacks},  // or those that are named after it
                            {"attention", "blk.*.attn_[qkvo]* blk.*.attn_gate.* blk.*.attn_sinks.* blk.*.attn_exps_output.* blk.*.shortconv.* blk.*.delta_*"},  // and other mixers
                            {"norms", "*norm.weight *norm.bias"},
                            {"embedding", "token_embd.weight"},
                            {"head", "output.weight output.bias"}};

// Whether one of the globs, which stand between spaces, fits.
bool fits(std::string_view globs, const Parameter& p) {
  while (!globs.empty()) {
    const size_t end = std::min(globs.find(' '), globs.size());
    if (::fnmatch(std::string(globs.substr(0, end)).c_str(), p.name.c_str(), 0) == 0) return true;
    globs.remove_prefix(std::min(end + 1, globs.size()));
  }
  return false;
}
size_t experts_of(const Parameter& p) { return static_cast<size_t>(p.shape[0]); }

// What a rule is about.
struct Selection {
  std::string glob;
  std::vector<ExpertRange> experts = {};  // of stacks; empty: whole parameters

  bool holds(const Parameter& p, size_t expert) const {
    return experts.empty() || std::ranges::any_of(experts, [&](const ExpertRange& r) { return r.holds(layer_of(p), static_cast<uint32_t>(p.first_expert + expert)); });
  }
};

std::vector<ExpertRange> ranges(const Table& rule, std::string_view text, const Arena& arena) {
  std::vector<ExpertRange> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    std::string_view word = text.substr(0, end);
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    ExpertRange range;
    if (!parse_range(word, range)) rule.wrong("which", fmt::format("'{}' is no expert; 17, 0-7, 3:17 or 3:0-7 is expected, several with commas between", word));
    const bool there = std::ranges::any_of(arena.parameters(), [&](const Parameter& p) { return is_stack(p) && range.last >= p.first_expert && range.last < p.first_expert + experts_of(p) && range.holds(layer_of(p), range.last); });
    if (!there) rule.wrong("which", fmt::format("'{}': no layer has such experts", word));
    out.push_back(range);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Selection selection(const Table& rule, const Arena& arena) {
  if (!rule.has("which")) return {rule.text("match")};
  if (rule.has("match")) rule.wrong("which", "it stands beside match; one of the two is expected");
  const std::string text = rule.text("which");
  const size_t space = std::min(text.find(' '), text.size());
  std::vector<std::string_view> known;
  for (const Group& group : groups) {
    known.push_back(group.name);
    if (text.substr(0, space) != group.name) continue;
    if (space < text.size() && group.glob != stacks) rule.wrong("which", fmt::format("nothing is expected after '{}'", group.name));
    return {std::string(group.glob), ranges(rule, std::string_view(text).substr(space), arena)};
  }
  rule.wrong("which", fmt::format("there is no '{}'; there are {}", text, fmt::join(known, ", ")));
}

// All that a rule does to what it selects.
std::vector<RuleEffect> effects_of(const Table& rule, const Selection& selected, const Arena& arena) {
  std::vector<RuleEffect> out;
  for (const RuleInfo& kind : rule_kinds()) {
    if (!rule.has(kind.key)) continue;
    if (!kind.of_experts && !selected.experts.empty()) rule.wrong(kind.key, "experts of a stack share it; `which = \"experts\"` rules all of them");
    out.push_back(kind.build(rule, arena));
  }
  return out;
}

}  // namespace

float factor_of(const Table& rule, std::string_view key) {
  const double factor = rule.number(key);
  if (factor < 0) rule.wrong(key, "it must not be negative");
  return static_cast<float>(factor);
}

void apply_rules(const Table& root, Arena& arena) {
  std::set<std::pair<const Parameter*, size_t>> ruled;  // with the expert
  for (Parameter& p : arena.parameters())
    if (is_stack(p)) p.motion.assign(experts_of(p), p.motion[0]);
  for (const Table& rule : root.tables("rule")) {
    const Selection selected = selection(rule, arena);
    const std::vector<RuleEffect> does = effects_of(rule, selected, arena);
    bool any = false;
    for (Parameter& p : arena.parameters()) {
      if (!fits(selected.glob, p)) continue;
      for (size_t i = 0; i < p.motion.size(); i++) {
        if (!selected.holds(p, i)) continue;
        any = true;
        if (!ruled.emplace(&p, i).second) continue;
        for (const RuleEffect& effect : does) effect(p, p.motion[i]);
      }
    }
    if (!any) rule.wrong(rule.has("which") ? "which" : "match", fmt::format("no parameter is called like '{}'; the first is {}", selected.glob, arena.parameters().front().name));
  }
  if (std::ranges::all_of(arena.parameters(), &Parameter::frozen)) root.wrong("rule", "nothing is left that moves");
}

}  // namespace moiety
