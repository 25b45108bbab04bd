#include "apps/suggest.h"

#include <algorithm>
#include <numeric>

#include "base/nearest.h"

namespace moiety {
namespace {

// The verb that was read last, and its words.
const CLI::App* verb_of(const CLI::App& app, std::string& path) {
  const auto inner = app.get_subcommands();
  if (inner.empty()) return &app;
  path += " " + inner.front()->get_name();
  return verb_of(*inner.front(), path);
}

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) out.push_back(verb->get_name());
  return out;
}

std::string joined(const std::vector<std::string>& names) {
  return std::accumulate(names.begin(), names.end(), std::string(), [](std::string all, const std::string& name) { return all + (all.empty() ? "" : ", ") + name; });
}

}  // namespace

std::string explain(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& words) {
  std::string path;
  const CLI::App* verb = verb_of(app, path);
  const std::string help = "; `moiety" + path + " --help` shows what there is";
  const std::vector<std::string> verbs = verb_names(*verb);
  if (!verbs.empty()) {  // a verb is missing, or what stands there is none
    const auto word = std::find_if(words.begin() + std::count(path.begin(), path.end(), ' '), words.end(), [](const std::string& w) { return !w.starts_with("-"); });
    if (word == words.end()) return "moiety" + path + ": a verb is missing: " + joined(verbs);
    const std::string meant = nearest(*word, verbs);
    return "moiety" + path + ": '" + *word + "' is no verb" + (meant.empty() ? ": there are " + joined(verbs) : "; did you mean " + meant + "?");
  }
  if (!dynamic_cast<const CLI::ExtrasError*>(&error)) return "moiety" + path + ": " + error.what() + help;
  std::vector<std::string> options;
  for (const CLI::App* a = verb; a; a = a->get_parent())
    for (const CLI::Option* option : a->get_options())
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
  const std::vector<std::string> left = app.remaining(true);
  for (const std::string& word : left) {
    const std::string name = word.substr(0, word.find('='));
    if (!name.starts_with("-")) continue;
    const std::string meant = nearest(name, options);
    return "moiety" + path + ": option " + name + " is not known" + (meant.empty() ? help : "; did you mean " + meant + "?");
  }
  return "moiety" + path + ": '" + (left.empty() ? "" : left.front()) + "' is one argument too many; quote a text of several words" + help;
}

}  // namespace moiety
