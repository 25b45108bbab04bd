// moiety: the command line. Parses, runs the verb, and turns errors into messages and exit statuses.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "apps/suggest.h"
#include "apps/verbs.h"
#include "apps/version.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "kernels/isa.h"
#include "text/utf8.h"

using namespace moiety;

namespace {

// Names out of a file may hold anything: what a terminal would obey or could not show becomes '?'.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text.substr(i));
    const bool obeyed = static_cast<unsigned char>(text[i]) < 0x20 && text[i] != '\n' && text[i] != '\t';
    if (n == 0 || obeyed || text[i] == 0x7f) out += '?';
    else out += text.substr(i, n);
    i += std::max<size_t>(n, 1);
  }
  return out;
}

int failed(int status, std::string_view reason) {
  std::fprintf(stderr, "moiety: %s\n", printable(reason).c_str());
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("moiety: mixture-of-experts language models in which every expert is addressable");
  app.footer("Example: moiety run model.gguf \"Once upon a time\" -n 64\nmoiety VERB --help shows the options of a verb.");
  app.require_subcommand(1);
  app.set_version_flag("--version", version_text());
  Commands commands{app, {}};
  commands.arguments = argv;
  app.add_flag("--quiet", commands.quiet, "no progress, no notes");
  app.fallthrough();
  add_all_verbs(commands);
  try {
    catch_interrupts();
    keep_freed_memory();
    choose_isa();
    app.parse(argc, argv);
    const int status = commands.chosen ? commands.chosen() : 2;
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) throw Error("standard output could not be written: {}", std::strerror(errno));
    return status;
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "%s\n", explain(app, e, {argv + 1, argv + argc}).c_str());
    return 2;
  } catch (const Interrupted&) {
    std::fprintf(stderr, "\ninterrupted\n");
    return 130;
  } catch (const UsageError& e) {
    return failed(2, e.what());
  } catch (const std::bad_alloc&) {
    return failed(1, "out of memory; a smaller --context or --chunk, or a smaller model, needs less");
  } catch (const std::exception& e) {
    return failed(1, e.what());
  }
}
