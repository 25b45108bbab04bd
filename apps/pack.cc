// moiety pack: a model in kernel order, for a fast start.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/verbs.h"
#include "base/progress.h"
#include "base/size.h"
#include "model/pack_file.h"
#include "text/tokenizer_export.h"

namespace moiety {

namespace {

void report(const PackReport& r, const std::string& out) {
  for (const std::string& note : r.notes) fmt::print("{}\n", note);
  if (r.parts_in_rows) fmt::print("{} of {} parts have no kernel order (norms, biases, the embedding, types without panels) and lie in rows\n", r.parts_in_rows, r.parts);
  fmt::print("{}: {} records, {}\n", out, r.records, show_size(r.bytes));
}

void report_json(const PackReport& r, const std::string& out) {
  const nlohmann::ordered_json d = {{"file", out}, {"records", r.records}, {"parts", r.parts}, {"parts_in_rows", r.parts_in_rows}, {"bytes", r.bytes}, {"notes", r.notes}};
  fmt::print("{}\n", d.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

void add_pack(Commands& commands) {
  struct Options {
    std::string in, out;
    size_t threads = 0;
    bool json = false;
  };
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("pack", "the same model in one file in the kernels' order, each expert in one aligned record: starts fast");
  verb->add_option("MODEL", o->in, "a GGUF file (the first of several), a Hugging Face directory, or the name of a model in models/")->required();
  verb->add_option("OUT", o->out, "the file to write")->required();
  verb->add_option("-t,--threads", o->threads, "threads (default: the cores that affinity and cgroup allow)")->check(CLI::Range(1, 1024));
  verb->add_flag("--json", o->json, "one JSON document on stdout");
  verb->footer("Every weight is looked at for NaN and infinity on the way. `moiety inspect OUT --check` compares a packed file with its checksums.\n"
               "Example: moiety pack mixtral.gguf mixtral.packed.gguf");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      const Checkpoint in = Checkpoint::open(find_model(o->in));
      PackOptions options;
      options.threads = o->threads;
      options.reading = show_progress("reading", "bytes", commands.quiet);
      options.writing = show_progress("packing", "bytes", commands.quiet);
      options.edit_metadata = [&in, &commands](Metadata& metadata) {
        const std::string warning = export_tokenizer(in.path(), in.config().vocab, metadata);
        if (!warning.empty() && !commands.quiet) std::fprintf(stderr, "warning: %s\n", warning.c_str());
      };
      const PackReport r = pack_file(in, o->out, options);
      options.reading = options.writing = {};  // before the first line
      o->json ? report_json(r, o->out) : report(r, o->out);
      return 0;
    };
  });
}

}  // namespace moiety
