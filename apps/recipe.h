// The verb `recipe` as the command line knows it. As with `train`, the program that links libtorch runs it.
#pragma once
#include <string>

#include "apps/verbs.h"

namespace moiety {

struct RecipeVerb {
  enum class Action { list, show, run } action = Action::list;
  std::string slug, recipes, out, text = "build/corpus/text", tokenizer;
  uint64_t seeds = 0;
  size_t threads = 0;
  bool quick = false, json = false, write = false;
};

int run_recipe_verb(const RecipeVerb& verb, const Commands& commands);  // apps/learn_by_exec.cc, apps/learn/recipe_here.cc

}  // namespace moiety
