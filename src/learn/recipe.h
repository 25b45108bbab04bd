// A recipe: a system of the literature as training runs that are compared. recipes/SLUG/recipe.toml:
//
//   title = "..."
//   paper = "authors year, arXiv ..."
//   claim = "what the paper says"
//   expected = "what is expected at this scale"
//   seeds = 5
//   [base]                                  # a description of a training run, without text and tokenizer
//   [quick]                                 # the same, smaller: shows that it runs, decides nothing
//   seeds = 2
//   set = {"steps" = 20}
//   [[arm]]
//   name = "top-1"
//   what = "one expert a token"
//   control = true                          # what the others are measured against
//   set = {"model.block.ffn.routing" = "softmax | top_k(1)"}   # each path gets this value; of a list, in all of its tables
//   [[compare]]
//   claim = "two experts are better than one"
//   a = "top-2"
//   b = "top-1"
//   measure = "mean_bits_per_byte"          # a path in a run's summary.json
//   direction = "lower"                     # of a against b, or "higher"
//   margin = 0                              # how much worse a may be
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace moiety {

struct RecipeArm {
  std::string name, what;
  bool control = false;
  nlohmann::json set;  // path -> value
};

struct RecipeComparison {
  std::string claim, a, b, measure;
  bool lower = true;  // a is expected to be
  double margin = 0;
};

struct Recipe {
  std::string slug, title, paper, claim, expected;
  std::filesystem::path folder;
  uint64_t seeds = 0, quick_seeds = 0;
  nlohmann::json base, quick;  // a description; path -> value
  std::vector<RecipeArm> arms;
  std::vector<RecipeComparison> comparisons;

  // UsageError with file and line for what is wrong, also in paths and names.
  static Recipe read(const std::filesystem::path& folder);
  // The description of a run, still without sources of text and tokenizer.
  nlohmann::json description(const RecipeArm& arm, uint64_t seed, bool as_quick) const;
};

// The folders of `recipes` that hold one, by name; and one of them. An unknown name is a UsageError with the nearest.
std::vector<std::string> recipe_names(const std::filesystem::path& recipes);
Recipe find_recipe(const std::filesystem::path& recipes, const std::string& slug);

}  // namespace moiety
