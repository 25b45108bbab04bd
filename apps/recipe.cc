// moiety recipe: systems of the literature, trained small and compared.
#include "apps/recipe.h"

namespace moiety {
namespace {

void add_run(CLI::App& verb, RecipeVerb& o) {
  verb.add_option("-o,--out", o.out, "directory of the runs and of RESULT.md (default: build/recipes/SLUG, or build/recipes/SLUG-quick)");
  verb.add_option("--text", o.text, "text to train on: a folder of DOMAIN/train.txt and DOMAIN/test.txt (default: build/corpus/text, which `make corpus` makes)");
  verb.add_option("--tokenizer", o.tokenizer, "a tokenizer.json (default: tokenizer/tokenizer.json in the text's folder or beside it)");
  verb.add_option("--seeds", o.seeds, "runs of every arm (default: the recipe's)")->check(CLI::Range(1, 1000));
  verb.add_option("-t,--threads", o.threads, "threads (default: the cores that affinity and cgroup allow); never changes a result")->check(CLI::Range(1, 1024));
  CLI::Option* quick = verb.add_flag("--quick", o.quick, "a smaller form, in minutes: shows that it runs, decides nothing");
  verb.add_flag("--write", o.write, "RESULT.md goes into the recipe's folder, too")->excludes(quick);
  verb.footer("Example: moiety recipe run moe-vs-dense --quick\nAfter an interruption the same command goes on where it stopped.");
}

}  // namespace

void add_recipe(Commands& commands) {
  CLI::App* recipe = commands.app.add_subcommand("recipe", "systems of the literature, trained small and compared; see docs/recipes.md");
  recipe->require_subcommand(1);
  recipe->footer("Example: moiety recipe list");
  auto o = std::make_shared<RecipeVerb>();
  const struct {
    const char *name, *meaning, *footer;
    RecipeVerb::Action action;
  } actions[] = {{"list", "all recipes, with what came out", "Example: moiety recipe list --json", RecipeVerb::Action::list},
                 {"show", "a recipe: its claim, its arms, what is compared", "Example: moiety recipe show moe-vs-dense", RecipeVerb::Action::show},
                 {"run", "train every arm with every seed, and compare", "", RecipeVerb::Action::run}};
  for (const auto& action : actions) {
    CLI::App* verb = recipe->add_subcommand(action.name, action.meaning);
    if (action.action != RecipeVerb::Action::list) verb->add_option("SLUG", o->slug, "the recipe's name, as `moiety recipe list` shows it")->required();
    verb->add_option("--recipes", o->recipes, "folder of recipes (default: recipes/ of the source tree that moiety was built from, or share/moiety/recipes beside an installed moiety)");
    verb->add_flag("--json", o->json, "one JSON document on stdout");
    verb->footer(action.footer);
    if (action.action == RecipeVerb::Action::run) add_run(*verb, *o);
    verb->callback([o, &commands, action = action.action] {
      o->action = action;
      commands.chosen = [o, &commands] { return run_recipe_verb(*o, commands); };
    });
  }
}

}  // namespace moiety
