#include "learn/recipe.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"
#include "learn/description.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

// Gives the value at "model.block.ffn.width"; false if the way there does not exist. Lists on the way: all of their tables.
bool set_path(nlohmann::json& in, std::string_view path, const nlohmann::json& value) {
  if (in.is_array()) return !in.empty() && std::ranges::all_of(in, [&](nlohmann::json& item) { return set_path(item, path, value); });
  if (!in.is_object()) return false;
  const size_t dot = path.find('.');
  const std::string key(path.substr(0, dot));
  if (dot == path.npos) {
    in[key] = value;
    return true;
  }
  return in.contains(key) && set_path(in[key], path.substr(dot + 1), value);
}

void apply(nlohmann::json& description, const nlohmann::json& set) {
  for (const auto& [path, value] : set.items()) set_path(description, path, value);
}

// The paths of a table's `set`, which lead somewhere in the base.
nlohmann::json read_set(const Table& t, const nlohmann::json& base) {
  if (!t.has("set")) return nlohmann::json::object();
  const nlohmann::json set = t.json("set");
  for (const auto& [path, value] : set.items()) {
    nlohmann::json copy = base;
    if (!set_path(copy, path, value)) t.wrong("set", fmt::format("the path '{}' leads nowhere in [base]", path));
  }
  return set;
}

RecipeArm read_arm(const Table& t, const nlohmann::json& base) {
  RecipeArm out{t.text("name"), t.text("what"), t.flag("control", false), read_set(t, base)};
  // It names files.
  const bool plain = !out.name.empty() && out.name[0] != '.' && std::ranges::all_of(out.name, [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.'; });
  if (!plain) t.wrong("name", "letters, digits, '-' and '.' are expected");
  return out;
}

RecipeComparison read_comparison(const Table& t, const std::vector<RecipeArm>& arms) {
  RecipeComparison out{t.text("claim"), t.text("a"), t.text("b"), t.text("measure"), true, t.number("margin", 0)};
  std::vector<std::string> names;
  for (const RecipeArm& arm : arms) names.push_back(arm.name);
  for (const auto& [key, name] : {std::pair{"a", out.a}, {"b", out.b}})
    if (!std::ranges::count(names, name)) t.wrong(key, fmt::format("there is no arm '{}'; there are {}", name, fmt::join(names, ", ")));
  const std::string direction = t.text("direction");
  if (direction != "lower" && direction != "higher") t.wrong("direction", "it must be lower or higher");
  out.lower = direction == "lower";
  return out;
}

}  // namespace

Recipe Recipe::read(const fs::path& folder) {
  const Description file = Description::read(folder / "recipe.toml");
  const Table t = file.root();
  Recipe out;
  out.folder = folder;
  out.slug = folder.filename().string();
  out.title = t.text("title"), out.paper = t.text("paper"), out.claim = t.text("claim"), out.expected = t.text("expected");
  out.seeds = t.count("seeds");
  out.base = t.json("base");
  const Table quick = t.table("quick");
  out.quick_seeds = quick.count("seeds");
  out.quick = read_set(quick, out.base);
  if (out.seeds == 0 || out.quick_seeds == 0) t.wrong("seeds", "at least one is needed");
  for (const Table& arm : t.tables("arm")) {
    out.arms.push_back(read_arm(arm, out.base));
    if (std::ranges::count(out.arms, out.arms.back().name, &RecipeArm::name) > 1) arm.wrong("name", fmt::format("there are two arms '{}'", out.arms.back().name));
  }
  if (std::ranges::none_of(out.arms, &RecipeArm::control)) t.wrong("arm", "none of them is a control (control = true)");
  for (const Table& comparison : t.tables("compare")) out.comparisons.push_back(read_comparison(comparison, out.arms));
  file.check_all_read();
  return out;
}

nlohmann::json Recipe::description(const RecipeArm& arm, uint64_t seed, bool as_quick) const {
  nlohmann::json out = base;
  apply(out, arm.set);
  if (as_quick) apply(out, quick);
  out["seed"] = seed;
  return out;
}

std::vector<std::string> recipe_names(const fs::path& recipes) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(recipes, error))
    if (fs::is_regular_file(entry.path() / "recipe.toml")) out.push_back(entry.path().filename().string());
  if (error) throw UsageError("{}: {}; --recipes names the folder that recipes are in", recipes.string(), error.message());
  std::ranges::sort(out);
  return out;
}

Recipe find_recipe(const fs::path& recipes, const std::string& slug) {
  const std::vector<std::string> names = recipe_names(recipes);
  if (std::ranges::count(names, slug)) return Recipe::read(recipes / slug);
  const std::string meant = nearest(slug, names);
  throw UsageError("there is no recipe '{}' in {}{}; `moiety recipe list` shows them", slug, recipes.string(), meant.empty() ? "" : "; did you mean " + meant + "?");
}

}  // namespace moiety
