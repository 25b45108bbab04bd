#include "apps/version.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/verbs.h"
#include "kernels/isa.h"

namespace moiety {

std::string version_text() {
  return fmt::format("moiety {} (commit {}), {}, instruction sets: {}", MOIETY_VERSION, MOIETY_COMMIT, MOIETY_COMPILER,
                     fmt::join(available_isas(), " "));
}

void add_all_verbs(Commands& commands) {
  add_run(commands);
  add_inspect(commands);
  add_logits(commands);
  add_routing(commands);
  add_tokenize(commands);
  add_eval(commands);
  add_bench(commands);
  add_models(commands);
  add_completion(commands);
  add_man(commands);
  add_trace(commands);
  add_routes(commands);
  add_convert(commands);
  add_pack(commands);
  add_upcycle(commands);
  add_train(commands);
  add_recipe(commands);
}

}  // namespace moiety
