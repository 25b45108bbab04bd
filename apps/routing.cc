// moiety routing: the stages, and pipelines in words.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "routing/registry.h"

namespace moiety {

void add_routing(Commands& commands) {
  CLI::App* verb = commands.app.add_subcommand("routing", "the stages that a routing text is made of");
  verb->require_subcommand(1);
  verb->footer("Example: moiety routing explain 'layers 0-5: @model; all: softmax | top_p(0.6, max=8) | renorm'");
  auto json = std::make_shared<bool>(false);
  auto text = std::make_shared<std::string>();

  CLI::App* list = verb->add_subcommand("list", "every stage with its signature, meaning and source");
  list->add_flag("--json", *json, "one JSON document on stdout");
  list->callback([json, &commands] {
    commands.chosen = [json] {
      nlohmann::ordered_json out = nlohmann::json::array();
      for (const StageInfo& info : stages()) {
        out.push_back({{"name", info.name}, {"signature", info.signature}, {"meaning", info.meaning}, {"source", info.source}, {"mark", mark_name(info.mark)}});
        if (!*json)
          fmt::print("{}({})\n    {}\n    {}{}\n", info.name, info.signature, info.meaning, info.source,
                     info.mark == Mark::row ? "" : fmt::format("; marked {}", mark_name(info.mark)));
      }
      if (*json) fmt::print("{}\n", out.dump(2));
      return 0;
    };
  });

  CLI::App* explain = verb->add_subcommand("explain", "a routing text in words");
  explain->add_option("TEXT", *text, "the routing text")->required();
  explain->add_flag("--json", *json, "one JSON document on stdout");
  explain->footer("Example: moiety routing explain 'softmax | top_k(8) | renorm'");
  explain->callback([json, text, &commands] {
    commands.chosen = [json, text] {
      const RoutingPolicy policy = RoutingPolicy::parse(*text, Allow::training);
      if (*json) fmt::print("{}\n", nlohmann::json{{"text", policy.text()}, {"explanation", policy.explain()}}.dump(2));
      else fmt::print("{}", policy.explain());
      return 0;
    };
  });
}

}  // namespace moiety
