// moiety models: what is at hand.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "model/family.h"

namespace moiety {

void add_models(Commands& commands) {
  struct Options {
    bool json = false, families = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* models = commands.app.add_subcommand("models", "models at hand in models/, and the families that run");
  models->add_flag("--families", o->families, "the families instead");
  models->add_flag("--json", o->json, "one JSON document on stdout");
  models->footer("Example: moiety models --families");
  models->callback([o, &commands] {
    commands.chosen = [o] {
      nlohmann::ordered_json list = nlohmann::json::array();
      if (o->families) {
        for (const Family& f : families()) list.push_back({{"family", f.name}, {"gguf", f.gguf ? f.gguf : "moiety-" + std::string(f.name)}});
      } else {
        for (const ModelAtHand& m : models_at_hand())
          list.push_back({{"name", m.name}, {"path", m.path.string()}, {"bytes", std::filesystem::is_regular_file(m.path) ? std::filesystem::file_size(m.path) : 0}});
      }
      if (o->json) fmt::print("{}\n", list.dump(2));
      else
        for (const auto& item : list)
          fmt::print("{:<20} {}\n", item.begin().value().get<std::string>(), std::next(item.begin()).value().get<std::string>());
      return 0;
    };
  });
}

}  // namespace moiety
