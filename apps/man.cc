// moiety man: the manual page, from what --help knows.
#include <cstdio>
#include <string_view>

#include "apps/verbs.h"
#include "text/utf8.h"

namespace moiety {
namespace {

// Text as roff takes it, filled to lines of 78 bytes: a hyphen is a minus, a line that begins with a dot or a quote is no request, and
// characters beyond ASCII are named.
std::string roff(const std::string& text) {
  std::string out;
  size_t column = 0;
  for (size_t i = 0; i < text.size(); i++) {
    const char c = text[i];
    if (c == '\n' || (c == ' ' && column + text.substr(i + 1, text.find_first_of(" \n", i + 1) - i - 1).size() > 70)) {
      out += c == '\n' ? "\n.br\n" : "\n";
      column = 0;
      continue;
    }
    if (column == 0 && (c == '.' || c == '\'')) out += "\\&";
    const size_t bytes = utf8_step(std::string_view(text).substr(i));
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else if (bytes > 1) out += fmt::format("\\[u{:04X}]", utf8_code_point(std::string_view(text).substr(i)));
    else out += c;
    i += bytes - 1;
    column++;
  }
  return out;
}

std::string option_lines(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_name() == "--help") continue;
    const bool positional = option->get_positional();
    std::string name = option->get_name(positional, true);
    if (!positional && option->get_type_size() != 0) {
      const std::string type = option->get_type_name();
      if (!type.empty()) name += " " + type.substr(0, type.find(':'));
    }
    out += ".TP\n.B " + roff(name) + "\n" + roff(option->get_description()) + "\n";
  }
  return out;
}

void add_section(const CLI::App& app, const std::string& name, std::string& out) {
  out += ".SS " + roff(name) + "\n" + roff(app.get_description()) + "\n" + option_lines(app);
  if (!app.get_footer().empty()) out += ".PP\n" + roff(app.get_footer()) + "\n";
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) add_section(*verb, name + " " + verb->get_name(), out);
}

std::string man_page(const CLI::App& app) {
  std::string out = ".TH MOIETY 1 \"" MOIETY_DATE "\" \"moiety " MOIETY_VERSION "\" \"User Commands\"\n.SH NAME\n";
  out += "moiety \\- run, study and build mixture\\-of\\-experts language models\n.SH SYNOPSIS\n.B moiety\nVERB [OPTIONS]\n";
  out += ".SH DESCRIPTION\n" + roff(app.get_description()) + ".\n";
  out += roff("MODEL is a GGUF file (the first of several is enough), a Hugging Face directory, or the name of a model in models/.") + "\n";
  out += "Sizes are bytes, or 512M, 2G, 1.5GiB (powers of 1024).\nResults go to standard output, everything else to standard error.\n";
  out += ".SH OPTIONS\n" + option_lines(app) + ".SH VERBS\n";
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) add_section(*verb, verb->get_name(), out);
  out += ".SH EXIT STATUS\n.TP\n.B 0\ndone\n.TP\n.B 1\nthe work failed; the message says why, and nothing is left half written\n";
  out += ".TP\n.B 2\nthe command was wrong\n.TP\n.B 130\ninterrupted by Ctrl\\-C\n";
  return out + ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nno colours, whatever its value\n";
}

}  // namespace

void add_man(Commands& commands) {
  CLI::App* man = commands.app.add_subcommand("man", "the manual page, as roff");
  man->footer("Example: moiety man | man -l -");
  man->callback([&commands] { commands.chosen = [&commands] { return fmt::print("{}", man_page(commands.app)), 0; }; });
}

}  // namespace moiety
