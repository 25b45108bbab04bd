// Runs a recipe: every arm with every seed is a training run in a process of its own. OUT holds
//
//   ARM-SEED.toml   its description          ARM-SEED.log   what it said on stderr
//   ARM-SEED/       the run                  tokens/        the tokenised text of all
//   results.jsonl   {"arm", "seed", "key", "summary"}: a line for each finished run; `key` is a hash of its description and text
//
// Checkpoints of finished runs go, but for the first seed's. What is finished stays, what was interrupted goes on, and what was made by another description or of other text is made again.
#pragma once
#include <filesystem>
#include <functional>

#include "learn/recipe.h"

namespace moiety {

struct RecipeRunOptions {
  std::filesystem::path out, text, tokenizer;  // tokenizer: empty: beside the text
  std::filesystem::path program;               // that trains: moiety-learn
  uint64_t seeds = 0;                          // 0: the recipe's
  bool quick = false, quiet = false;
  size_t threads = 0;
};

struct RecipeResult {
  std::string arm;
  uint64_t seed = 0;
  nlohmann::json summary;  // learn/summary.h
};

struct RecipeResults {
  std::vector<RecipeResult> runs;  // arm by arm
  std::string text;                // what they learnt: "maths 4.6 MiB, words 120 KiB"
};

// Everything that can be wrong with any arm is found before the first run.
RecipeResults run_recipe(const Recipe& recipe, const RecipeRunOptions& options);

}  // namespace moiety
