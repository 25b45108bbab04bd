// In `moiety-learn`: the run itself.
#include <nlohmann/json.hpp>

#include "apps/train.h"
#include "base/size.h"
#include "learn/run.h"

namespace moiety {

int run_train(const TrainVerb& verb, const Commands& commands) {
  RunOptions o;
  o.config = verb.config;
  o.resume = !verb.resume.empty();
  if (o.resume) o.folder = verb.resume;
  else if (!verb.out.empty()) o.folder = verb.out;
  o.threads = verb.threads;
  o.device = verb.device;
  o.quiet = commands.quiet;
  const RunResult r = train(o);
  if (verb.json) {
    nlohmann::ordered_json domains = nlohmann::ordered_json::object();
    for (const DomainResult& d : r.held_out) domains[d.domain] = {{"bits_per_byte", d.bits_per_byte}, {"nll_per_token", d.nll_per_token}, {"bytes", d.bytes}, {"tokens", d.tokens}};
    const nlohmann::ordered_json out = {{"run", r.folder.string()}, {"model", r.model.string()}, {"steps", r.steps},     {"tokens", r.tokens},  {"parameters", {{"total", r.parameters}, {"active", r.active_parameters}}},
                                        {"seconds", r.seconds},     {"held_out", domains}};
    fmt::print("{}\n", out.dump(2));
    return 0;
  }
  fmt::print("{}: {} steps, {} tokens, {} parameters, {} of them active\n", r.folder.string(), r.steps, r.tokens, r.parameters, r.active_parameters);
  for (const DomainResult& d : r.held_out) fmt::print("{:<16} {:.4f} bits per byte on {} of held-out text\n", d.domain, d.bits_per_byte, show_size(d.bytes));
  fmt::print("model: {}; `moiety run {} \"...\"` runs it, `moiety convert` makes a GGUF of it\n", r.model.string(), r.model.string());
  return 0;
}

}  // namespace moiety
