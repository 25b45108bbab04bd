// In `moiety-learn`: recipes themselves.
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/recipe.h"
#include "base/file.h"
#include "base/threads.h"
#include "learn/recipe_table.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

fs::path folder_of_recipes(const RecipeVerb& verb) {
  if (!verb.recipes.empty()) return verb.recipes;
  if (fs::is_directory(MOIETY_RECIPES)) return MOIETY_RECIPES;
  return fs::read_symlink("/proc/self/exe").parent_path() / "../share/moiety/recipes";
}

std::string machine(size_t threads) {
  std::ifstream in("/proc/cpuinfo");
  std::string model = "unknown CPU";
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  return fmt::format("{}, {} threads", model, threads ? threads : default_thread_count());
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char out[16];
  std::strftime(out, sizeof out, "%Y-%m-%d", std::gmtime(&now));
  return out;
}

int list(const RecipeVerb& verb, const fs::path& recipes) {
  nlohmann::ordered_json out = nlohmann::json::array();
  for (const std::string& slug : recipe_names(recipes)) {
    const Recipe r = Recipe::read(recipes / slug);
    out.push_back({{"recipe", slug}, {"title", r.title}, {"verdict", recorded_verdict(r.folder)}});
    if (!verb.json) fmt::print("{:<26} {}\n    {}\n", slug, r.title, recorded_verdict(r.folder));
  }
  if (verb.json) fmt::print("{}\n", out.dump(2));
  return 0;
}

int show(const RecipeVerb& verb, const Recipe& r) {
  nlohmann::ordered_json out = {{"recipe", r.slug}, {"title", r.title}, {"paper", r.paper}, {"claim", r.claim}, {"expected", r.expected}, {"seeds", r.seeds}, {"base", r.base}};
  for (const RecipeArm& arm : r.arms) out["arms"].push_back({{"name", arm.name}, {"what", arm.what}, {"control", arm.control}, {"set", arm.set}});
  for (const RecipeComparison& c : r.comparisons)
    out["comparisons"].push_back({{"claim", c.claim}, {"a", c.a}, {"b", c.b}, {"measure", c.measure}, {"expected", c.lower ? "lower" : "higher"}, {"margin", c.margin}});
  out["verdict"] = recorded_verdict(r.folder);
  if (verb.json) {
    fmt::print("{}\n", out.dump(2));
    return 0;
  }
  fmt::print("{}\n{}\n\nclaim     {}\nexpected  {}\nresult    {}\nseeds     {}\n\narms\n", r.title, r.paper, r.claim, r.expected, recorded_verdict(r.folder), r.seeds);
  for (const RecipeArm& arm : r.arms) {
    fmt::print("  {}{}: {}\n", arm.name, arm.control ? " (control)" : "", arm.what);
    for (const auto& [path, value] : arm.set.items()) fmt::print("      {} = {}\n", path, value.dump());
  }
  fmt::print("\ncompared\n");
  for (const RecipeComparison& c : r.comparisons)
    fmt::print("  {}: {} of {} {} than of {}{}\n", c.claim, c.measure, c.a, c.lower ? "lower" : "higher", c.b, c.margin > 0 ? fmt::format(", or at most {} worse", c.margin) : "");
  fmt::print("\nthe base of all arms: {}\n", (r.folder / "recipe.toml").string());
  return 0;
}

// The command as somebody would type it again, elsewhere.
std::string command_of(const RecipeVerb& verb) {
  return "moiety recipe run " + verb.slug + (verb.quick ? " --quick" : "") + (verb.seeds ? fmt::format(" --seeds {}", verb.seeds) : "");
}

void write(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

int run(const RecipeVerb& verb, const Recipe& recipe, const Commands& commands) {
  RecipeRunOptions o;
  o.out = !verb.out.empty() ? fs::path(verb.out) : fs::path("build/recipes") / (recipe.slug + (verb.quick ? "-quick" : ""));
  o.text = verb.text, o.tokenizer = verb.tokenizer;
  o.program = fs::read_symlink("/proc/self/exe");
  o.seeds = verb.seeds, o.quick = verb.quick, o.quiet = commands.quiet, o.threads = verb.threads;
  const RecipeResults results = run_recipe(recipe, o);
  const nlohmann::ordered_json table = recipe_table(recipe, results.runs);
  RecipeOrigin origin{command_of(verb), results.text, machine(verb.threads), today(), verb.quick};
  for (const RecipeResult& r : results.runs) origin.seconds += r.summary.at("seconds").get<double>();
  const std::string text = recipe_markdown(recipe, table, origin);
  write(o.out / "RESULT.md", text);
  if (verb.write) write(recipe.folder / "RESULT.md", text);
  if (verb.json) fmt::print("{}\n", table.dump(2));
  else fmt::print("{}\n({})\n", text, (o.out / "RESULT.md").string());
  return 0;
}

}  // namespace

int run_recipe_verb(const RecipeVerb& verb, const Commands& commands) {
  const fs::path recipes = folder_of_recipes(verb);
  if (verb.action == RecipeVerb::Action::list) return list(verb, recipes);
  const Recipe recipe = find_recipe(recipes, verb.slug);
  return verb.action == RecipeVerb::Action::show ? show(verb, recipe) : run(verb, recipe, commands);
}

}  // namespace moiety
