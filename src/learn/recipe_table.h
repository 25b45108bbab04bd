// What a recipe's runs say together: a table of its arms, the differences of pairs, and a verdict for each claim.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "learn/recipe_run.h"

namespace moiety {

//   {"recipe", "title", "seeds", "arms": [{"name", "what", "control", "runs", "parameters": {"total", "active"}, "measures": {name: {"mean", "half"}}}],
//    "comparisons": [{"claim", "a", "b", "measure", "expected", "margin", "mean", "half", "differences", "verdict"}], "verdict"}
// `half`: how far the 95% interval reaches to each side, null for one run. Measures are those of a run's summary, as paths.
nlohmann::ordered_json recipe_table(const Recipe& recipe, std::span<const RecipeResult> results);

// How the table came about: for RESULT.md.
struct RecipeOrigin {
  std::string command, text, machine, date;
  bool quick = false;
  double seconds = 0;  // of all runs
};
std::string recipe_markdown(const Recipe& recipe, const nlohmann::ordered_json& table, const RecipeOrigin& origin);

// The line of a RESULT.md that says how it came out; "not run yet" without one.
std::string recorded_verdict(const std::filesystem::path& recipe);

}  // namespace moiety
