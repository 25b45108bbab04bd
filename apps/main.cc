// moiety: the command line. Parses, runs the verb, and turns errors into messages and exit statuses.
#include <cstdio>
#include <exception>
#include <new>

#include "apps/verbs.h"
#include "apps/version.h"
#include "base/interrupt.h"
#include "kernels/isa.h"

using namespace moiety;

int main(int argc, char** argv) {
  CLI::App app("moiety: mixture-of-experts language models in which every expert is addressable");
  app.footer("Example: moiety run model.gguf \"Once upon a time\" -n 64\nmoiety VERB --help shows the options of a verb.");
  app.require_subcommand(1);
  app.set_version_flag("--version", version_text());
  Commands commands{app, {}};
  app.add_flag("--quiet", commands.quiet, "no progress, no notes");
  app.fallthrough();
  add_all_verbs(commands);
  try {
    catch_interrupts();
    choose_isa();
    app.parse(argc, argv);
    return commands.chosen ? commands.chosen() : 2;
  } catch (const CLI::Success& e) {  // --help, --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    app.exit(e);
    return 2;
  } catch (const Interrupted&) {
    std::fprintf(stderr, "\ninterrupted\n");
    return 130;
  } catch (const UsageError& e) {
    std::fprintf(stderr, "moiety: %s\n", e.what());
    return 2;
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "moiety: out of memory; a smaller --context or --chunk, or a smaller model, needs less\n");
    return 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "moiety: %s\n", e.what());
    return 1;
  }
}
