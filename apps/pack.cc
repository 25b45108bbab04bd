// moiety pack: a model in kernel order, for a fast start.
#include <cstdio>

#include "apps/verbs.h"
#include "base/progress.h"
#include "base/size.h"
#include "model/pack_file.h"
#include "text/tokenizer_export.h"

namespace moiety {

void add_pack(Commands& commands) {
  struct Options {
    std::string in, out;
    size_t threads = 0;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("pack", "the same model in one file in the kernels' order, each expert in one aligned record: starts fast");
  verb->add_option("MODEL", o->in, "a GGUF file (the first of several), a Hugging Face directory, or the name of a model in models/")->required();
  verb->add_option("OUT", o->out, "the file to write")->required();
  verb->add_option("-t,--threads", o->threads, "threads (default: the cores that affinity and cgroup allow)")->check(CLI::Range(1, 1024));
  verb->footer("Example: moiety pack mixtral.gguf mixtral.packed.gguf");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      const Checkpoint in = Checkpoint::open(find_model(o->in));
      PackOptions options;
      options.threads = o->threads;
      options.progress = show_progress("packing", "bytes", commands.quiet);
      options.edit_metadata = [&in, &commands](Metadata& metadata) {
        const std::string warning = export_tokenizer(in.path(), in.config().vocab, metadata);
        if (!warning.empty() && !commands.quiet) std::fprintf(stderr, "warning: %s\n", warning.c_str());
      };
      const PackReport r = pack_file(in, o->out, options);
      options.progress = {};  // before the first line
      for (const std::string& note : r.notes) fmt::print("{}\n", note);
      if (r.parts_in_rows) fmt::print("{} of {} parts have no kernel order (norms, biases, the embedding, types without panels) and lie in rows\n", r.parts_in_rows, r.parts);
      fmt::print("{}: {} records, {}\n", o->out, r.records, show_size(r.bytes));
      return 0;
    };
  });
}

}  // namespace moiety
