// moiety train: a model from a description and text.
#include "apps/train.h"

namespace moiety {

void add_train(Commands& commands) {
  auto o = std::make_shared<TrainVerb>();
  CLI::App* verb = commands.app.add_subcommand("train", "train a model as a TOML file describes it, or go on with a run");
  CLI::Option* config = verb->add_option("CONFIG", o->config, "a TOML file: model, data, optimiser; see docs/training.md");
  verb->add_option("--resume", o->resume, "the directory of a run that goes on from its last checkpoint, with the same bits (default: a new run)")->excludes(config);
  verb->add_option("-o,--out", o->out, "directory of the run: metrics.jsonl, checkpoints, tokenised text (default: CONFIG without .toml)");
  verb->add_option("-t,--threads", o->threads, "threads (default: the cores that affinity and cgroup allow); never changes a result")->check(CLI::Range(1, 1024));
  verb->add_option("--device", o->device, "where the graph is computed: cpu, or cuda with a libtorch that has it (default: cpu)")->check(CLI::IsMember({"cpu", "cuda"}));
  verb->add_flag("--json", o->json, "one JSON document on stdout");
  verb->footer("Example: moiety train nano.toml; after an interruption, moiety train --resume nano");
  verb->callback([o, &commands] {
    if (o->config.empty() && o->resume.empty()) throw UsageError("train: a configuration is missing; write `moiety train CONFIG.toml`, or `moiety train --resume DIR`");
    commands.chosen = [o, &commands] { return run_train(*o, commands); };
  });
}

}  // namespace moiety
