#include "apps/suggest.h"

#include <algorithm>
#include <numeric>

namespace moiety {
namespace {

// Edits from one word to another: a letter put in, left out, changed, or two neighbours swapped (Damerau 1964).
size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); i++) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); j++) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); i++)
    for (size_t j = 1; j <= b.size(); j++) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  return d[a.size()][b.size()];
}

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

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& name : known)
    if (const size_t edits = distance(word.substr(0, 64), name); edits < least) least = edits, best = name;
  return best;
}

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
