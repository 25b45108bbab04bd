// moiety completion: what a shell needs to complete verbs, options and their values.
#include <cstdio>

#include "apps/verbs.h"

namespace moiety {
namespace {

// A verb, or a verb of a verb: its words as typed, " eval perplexity", and itself.
struct Verb {
  std::string path;
  const CLI::App* app;
};

std::vector<const CLI::App*> verbs_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

void collect(const CLI::App& app, const std::string& path, std::vector<Verb>& out) {
  out.push_back({path, &app});
  for (const CLI::App* verb : verbs_of(app)) collect(*verb, path + " " + verb->get_name(), out);
}

bool takes_value(const CLI::Option& option) { return option.get_type_size() != 0; }

// What an option may be, where that is a list: "TEXT:{f32,auto}" is its type's name then.
std::string values_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{'), end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return "";
  std::string out = type.substr(begin + 1, end - begin - 1);
  for (char& c : out) c = c == ',' ? ' ' : c;
  return out;
}

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> out;
  for (const std::string& name : option.get_lnames()) out.push_back("--" + name);
  for (const std::string& name : option.get_snames()) out.push_back("-" + name);
  return out;
}

// The only argument's values, where they are a list: `completion SHELL`.
std::string argument_values(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional()) out += values_of(*option);
  return out;
}

std::string quoted(const std::string& text, const char* inner_quote) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? inner_quote : std::string(1, c);
  return out + "'";
}

// The lines of bash and zsh that find the verb among the words before the one to complete.
std::string find_verb(const std::vector<Verb>& verbs, const std::string& loop, const std::string& word) {
  std::string out = "  for ((" + loop + ")); do\n    case \"$verb " + word + "\" in\n      ";
  for (size_t i = 1; i < verbs.size(); i++) out += (i > 1 ? "|" : "") + ("\"" + verbs[i].path + "\"");
  return out + ") verb=\"$verb " + word + "\" ;;\n    esac\n  done\n";
}

std::string bash(const std::vector<Verb>& verbs) {
  std::string values, words;
  for (const Verb& v : verbs) {
    std::string options, inner = argument_values(*v.app);
    for (const CLI::App* verb : verbs_of(*v.app)) inner += verb->get_name() + " ";
    for (const CLI::Option* option : v.app->get_options())
      for (const std::string& name : names_of(*option)) {
        options += name + " ";
        if (takes_value(*option)) values += "    \"" + v.path + " " + name + "\") words=\"" + values_of(*option) + "\"; take=value ;;\n";
      }
    words += "    \"" + v.path + "\") options=\"" + options + "\"; words=\"" + inner + "\" ;;\n";
  }
  return "# bash completion of moiety: source this, or put it into bash-completion's completions/ as moiety\n"
         "_moiety() {\n  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= options= words= take= i\n" +
         find_verb(verbs, "i = 1; i < COMP_CWORD; i++", "${COMP_WORDS[i]}") + "  case \"$verb $previous\" in\n" + values +
         "  esac\n  [[ $take ]] || case \"$verb\" in\n" + words +
         "  esac\n  [[ $word == -* && ! $take ]] && words=$options\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n"
         "complete -o default -F _moiety moiety\n";
}

// "name:description" pairs as _describe wants them.
std::string described(const std::string& name, const std::string& description) {
  std::string out;
  for (char c : name) out += c == ':' ? "\\:" : std::string(1, c);
  return quoted(out + ":" + description, "'\\''");
}

std::string zsh(const std::vector<Verb>& verbs) {
  std::string values, words;
  for (const Verb& v : verbs) {
    std::string options, inner;
    for (const CLI::App* verb : verbs_of(*v.app)) inner += described(verb->get_name(), verb->get_description()) + " ";
    for (const CLI::Option* option : v.app->get_options())
      for (const std::string& name : names_of(*option)) {
        options += described(name, option->get_description()) + " ";
        if (!takes_value(*option)) continue;
        const std::string list = values_of(*option);
        values += "    \"" + v.path + " " + name + "\") " + (list.empty() ? "_files" : "compadd -- " + list) + "; return ;;\n";
      }
    words += "    \"" + v.path + "\") options=(" + options + ") verbs=(" + inner + ") words_of_argument=(" + argument_values(*v.app) + ") ;;\n";
  }
  return "#compdef moiety\n_moiety() {\n  local verb= i\n  local -a options verbs words_of_argument\n" + find_verb(verbs, "i = 2; i < CURRENT; i++", "${words[i]}") +
         "  case \"$verb ${words[CURRENT-1]}\" in\n" + values + "  esac\n  case \"$verb\" in\n" + words +
         "  esac\n"
         "  if [[ $PREFIX == -* ]]; then _describe -o option options\n"
         "  elif (( $#verbs )); then _describe verb verbs\n"
         "  elif (( $#words_of_argument )); then compadd -a words_of_argument\n"
         "  else _files\n  fi\n}\n"
         "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _moiety \"$@\"; else compdef _moiety moiety; fi\n";
}

std::string fish(const std::vector<Verb>& verbs) {
  std::string out = "# fish completion of moiety: put this into ~/.config/fish/completions/ as moiety.fish\n";
  for (const Verb& v : verbs) {
    std::string condition;
    for (size_t at = 0; at < v.path.size();) {
      const size_t end = std::min(v.path.find(' ', at + 1), v.path.size());
      condition += (condition.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from" + v.path.substr(at, end - at));
      at = end;
    }
    std::string inner, not_yet;
    for (const CLI::App* verb : verbs_of(*v.app)) inner += " " + verb->get_name();
    if (!inner.empty()) not_yet = (condition.empty() ? "" : condition + "; and ") + ("not __fish_seen_subcommand_from" + inner);
    for (const CLI::App* verb : verbs_of(*v.app))
      out += "complete -c moiety -f -n " + quoted(not_yet, "\\'") + " -a " + verb->get_name() + " -d " + quoted(verb->get_description(), "\\'") + "\n";
    if (const std::string list = argument_values(*v.app); !list.empty())
      out += "complete -c moiety -f -n " + quoted(condition, "\\'") + " -a " + quoted(list, "\\'") + "\n";
    for (const CLI::Option* option : v.app->get_options()) {
      if (names_of(*option).empty()) continue;
      out += "complete -c moiety";
      if (!condition.empty()) out += " -n " + quoted(condition, "\\'");
      for (const std::string& name : option->get_lnames()) out += " -l " + name;
      for (const std::string& name : option->get_snames()) out += " -s " + name;
      const std::string list = values_of(*option);
      if (!list.empty()) out += " -x -a " + quoted(list, "\\'");
      else if (takes_value(*option)) out += " -r";
      out += " -d " + quoted(option->get_description(), "\\'") + "\n";
    }
  }
  return out;
}

}  // namespace

void add_completion(Commands& commands) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion = commands.app.add_subcommand("completion", "completion script for a shell");
  completion->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer("Example: moiety completion bash > ~/.local/share/bash-completion/completions/moiety");
  completion->callback([shell, &commands] {
    commands.chosen = [shell, &commands] {
      std::vector<Verb> verbs;
      collect(commands.app, "", verbs);
      fmt::print("{}", *shell == "bash" ? bash(verbs) : *shell == "zsh" ? zsh(verbs) : fish(verbs));
      return 0;
    };
  });
}

}  // namespace moiety
