// moiety models, completion, man: what is at hand, and help for shells and readers.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "apps/version.h"
#include "base/size.h"
#include "model/family.h"

namespace moiety {
namespace {

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

std::string bash_completion(const CLI::App& app) {
  std::string out = "# bash completion of moiety: source this, or put it into bash_completion.d\n_moiety() {\n  local word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]}\n";
  std::string verbs, cases;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    verbs += sub->get_name() + " ";
    cases += "    " + sub->get_name() + ") options=\"";
    for (const CLI::App* inner : sub->get_subcommands([](const CLI::App*) { return true; })) cases += inner->get_name() + " ";
    for (const std::string& name : option_names(*sub)) cases += name + " ";
    cases += "\" ;;\n";
  }
  return out + "  if [ $COMP_CWORD = 1 ]; then COMPREPLY=($(compgen -W \"" + verbs + "\" -- \"$word\")); return; fi\n  local options=\n  case $verb in\n" + cases +
         "  esac\n  COMPREPLY=($(compgen -W \"$options\" -- \"$word\") $(compgen -f -- \"$word\"))\n}\ncomplete -o filenames -F _moiety moiety\n";
}

std::string roff(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') out += "\\\\";
    else if (c == '-') out += "\\-";
    else out += c;
    if (c == '\n') out += ".br\n";
  }
  return out;
}

void man_section(const CLI::App& app, const std::string& name, std::string& out) {
  out += ".SS " + roff(name) + "\n" + roff(app.get_description()) + "\n";
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_name() == "--help") continue;
    out += ".TP\n.B " + roff(option->get_name(false, true)) + "\n" + roff(option->get_description()) + "\n";
  }
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) man_section(*sub, name + " " + sub->get_name(), out);
  if (!app.get_footer().empty()) out += ".PP\n" + roff(app.get_footer()) + "\n";
}

std::string man_page(const CLI::App& app) {
  std::string out = ".TH MOIETY 1\n.SH NAME\nmoiety \\- mixture\\-of\\-experts language models in which every expert is addressable\n.SH SYNOPSIS\n.B moiety\nVERB [OPTIONS]\n.SH VERBS\n";
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) man_section(*sub, sub->get_name(), out);
  return out + ".SH EXIT STATUS\n0 done; 1 the work failed; 2 the command was wrong; 130 interrupted.\n";
}

}  // namespace

void add_models(Commands& commands) {
  struct Options {
    bool json = false, families = false;
    std::string shell;
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
      } else if (std::filesystem::is_directory("models")) {
        for (const auto& entry : std::filesystem::directory_iterator("models"))
          if (entry.is_directory() || entry.path().extension() == ".gguf")
            list.push_back({{"name", entry.path().stem().string()}, {"path", entry.path().string()}, {"bytes", entry.is_regular_file() ? entry.file_size() : 0}});
      }
      if (o->json) fmt::print("{}\n", list.dump(2));
      else
        for (const auto& item : list)
          fmt::print("{:<20} {}\n", item.begin().value().get<std::string>(), std::next(item.begin()).value().get<std::string>());
      return 0;
    };
  });
  CLI::App* completion = commands.app.add_subcommand("completion", "completion script for a shell");
  completion->add_option("SHELL", o->shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  completion->footer("Example: moiety completion bash > ~/.local/share/bash-completion/completions/moiety");
  completion->callback([&commands] { commands.chosen = [&commands] { return fmt::print("{}", bash_completion(commands.app)), 0; }; });
  CLI::App* man = commands.app.add_subcommand("man", "the manual page, as roff");
  man->footer("Example: moiety man | man -l -");
  man->callback([&commands] { commands.chosen = [&commands] { return fmt::print("{}", man_page(commands.app)), 0; }; });
}

}  // namespace moiety
