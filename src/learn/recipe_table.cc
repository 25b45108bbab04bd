#include "learn/recipe_table.h"

#include <cmath>
#include <fstream>
#include <map>

#include "base/error.h"
#include "learn/intervals.h"

namespace moiety {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view verdict_begin = "**Verdict:** ";

// All numbers of a summary but those of single sites, by path.
void flatten(const nlohmann::json& in, const std::string& path, std::map<std::string, double>& out) {
  for (const auto& [key, value] : in.items()) {
    const std::string inner = path.empty() ? key : path + "." + key;
    if (value.is_object()) flatten(value, inner, out);
    else if (value.is_number()) out[inner] = value.get<double>();
  }
}

using BySeed = std::map<uint64_t, std::map<std::string, double>>;

BySeed runs_of(std::string_view arm, std::span<const RecipeResult> results) {
  BySeed out;
  for (const RecipeResult& r : results)
    if (r.arm == arm) flatten(r.summary, "", out[r.seed]);
  return out;
}

Json interval_json(const MeanInterval& m) { return {{"mean", m.mean}, {"half", std::isfinite(m.half) ? Json(m.half) : Json()}}; }

Json arm_table(const RecipeArm& arm, const BySeed& runs) {
  std::map<std::string, std::vector<double>> values;
  for (const auto& [seed, run] : runs)
    for (const auto& [measure, value] : run) values[measure].push_back(value);
  Json out = {{"name", arm.name}, {"what", arm.what}, {"control", arm.control}, {"runs", runs.size()}};
  for (const char* kind : {"total", "active"}) out["parameters"][kind] = std::llround(mean_interval(values["parameters." + std::string(kind)]).mean);
  for (const auto& [measure, of_runs] : values) out["measures"][measure] = interval_json(mean_interval(of_runs));
  return out;
}

std::string word(Verdict v) { return v == Verdict::holds ? "holds" : v == Verdict::fails ? "does not hold" : "undecided"; }

Json comparison_table(const RecipeComparison& c, std::span<const RecipeResult> results) {
  const BySeed a = runs_of(c.a, results), b = runs_of(c.b, results);
  std::vector<double> differences;
  for (const auto& [seed, run] : a) {
    const auto other = b.find(seed);
    if (other == b.end()) continue;
    if (!run.contains(c.measure) || !other->second.contains(c.measure))
      throw Error("the measure '{}' is not in the summary of {}; `summary.json` of a run shows which there are", c.measure, run.contains(c.measure) ? c.b : c.a);
    differences.push_back(run.at(c.measure) - other->second.at(c.measure));
  }
  const MeanInterval m = mean_interval(differences);
  Json out = {{"claim", c.claim}, {"a", c.a}, {"b", c.b}, {"measure", c.measure}, {"expected", c.lower ? "lower" : "higher"}, {"margin", c.margin}};
  out.update(interval_json(m));
  out.update({{"differences", differences}, {"verdict", word(verdict(m, c.lower, c.margin))}});
  return out;
}

}  // namespace

Json recipe_table(const Recipe& recipe, std::span<const RecipeResult> results) {
  Json out = {{"recipe", recipe.slug}, {"title", recipe.title}};
  size_t seeds = 0;
  for (const RecipeArm& arm : recipe.arms) {
    const BySeed runs = runs_of(arm.name, results);
    seeds = std::max(seeds, runs.size());
    out["arms"].push_back(arm_table(arm, runs));
  }
  out["seeds"] = seeds;
  std::string all;
  for (const RecipeComparison& c : recipe.comparisons) {
    out["comparisons"].push_back(comparison_table(c, results));
    all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", c.claim, out["comparisons"].back()["verdict"].get<std::string>());
  }
  out["verdict"] = all;
  return out;
}

namespace {

std::string number(double value) { return std::abs(value) >= 1000 ? fmt::format("{:.0f}", value) : std::abs(value) >= 10 ? fmt::format("{:.1f}", value) : fmt::format("{:.4f}", value); }

std::string with_interval(const Json& m) {
  const std::string mean = number(m["mean"].get<double>());
  return m["half"].is_null() ? mean : fmt::format("{} ± {}", mean, number(m["half"].get<double>()));
}

// A row for each measure, a column for each arm.
std::string arms_markdown(const Json& arms) {
  std::string head = "| |", line = "|---|", parameters = "| parameters, total (active) |";
  std::map<std::string, std::string> rows;
  for (const Json& arm : arms) {
    head += fmt::format(" {}{} |", arm["name"].get<std::string>(), arm["control"].get<bool>() ? " (control)" : "");
    line += "---:|";
    parameters += fmt::format(" {} ({}) |", arm["parameters"]["total"].dump(), arm["parameters"]["active"].dump());
    for (const auto& [measure, value] : arm["measures"].items()) rows[measure];
  }
  for (auto& [measure, row] : rows)
    for (const Json& arm : arms) row += fmt::format(" {} |", arm["measures"].contains(measure) ? with_interval(arm["measures"][measure]) : "");
  std::string out = head + "\n" + line + "\n" + parameters + "\n";
  for (const auto& [measure, row] : rows)
    if (!measure.starts_with("parameters.") && measure != "steps") out += fmt::format("| {} |{}\n", measure, row);
  return out;
}

std::string comparisons_markdown(const Json& comparisons) {
  std::string out = "| claim | measure | difference | expected | verdict |\n|---|---|---:|---|---|\n";
  for (const Json& c : comparisons)
    out += fmt::format("| {} | {} | {} − {}: {} | {}{} | {} |\n", c["claim"].get<std::string>(), c["measure"].get<std::string>(), c["a"].get<std::string>(), c["b"].get<std::string>(), with_interval(c),
                       c["expected"].get<std::string>(), c["margin"].get<double>() > 0 ? fmt::format(", at most {} worse", number(c["margin"].get<double>())) : "", c["verdict"].get<std::string>());
  return out;
}

}  // namespace

std::string recipe_markdown(const Recipe& recipe, const Json& table, const RecipeOrigin& origin) {
  std::string arms;
  for (const RecipeArm& arm : recipe.arms) arms += fmt::format("- **{}**: {}{}\n", arm.name, arm.what, arm.control ? " (control)" : "");
  return fmt::format(
      "# {}{}\n\n{}\n\nThe claim: {}\n\nExpected here: {}\n\n{}{}\n\n{}\n{}\n{}\nMeans over {} seeds with 95% intervals (Student's t); differences are paired by seed. A claim is undecided where the "
      "interval reaches over the margin, and with fewer than three seeds. `experts.*` are defined in `src/learn/summary.h`.\n\n- command: `{}`\n- text: {}\n- machine: {}\n- time of all runs: {:.0f} s\n- date: {}\n",
      recipe.title, origin.quick ? " (quick form, which decides nothing)" : "", recipe.paper, recipe.claim, recipe.expected, verdict_begin, table["verdict"].get<std::string>(), arms, table.contains("comparisons") ? comparisons_markdown(table["comparisons"]) : "",
      arms_markdown(table["arms"]), table["seeds"].dump(), origin.command, origin.text, origin.machine, origin.seconds, origin.date);
}

std::string recorded_verdict(const std::filesystem::path& recipe) {
  std::ifstream in(recipe / "RESULT.md");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(verdict_begin)) return line.substr(verdict_begin.size());
  return "not run yet";
}

}  // namespace moiety
