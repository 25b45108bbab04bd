// moiety convert and moiety upcycle: checkpoints written anew.
#include <cstdio>

#include "apps/verbs.h"
#include "base/progress.h"
#include "base/size.h"
#include "grow/upcycle.h"
#include "text/tokenizer_export.h"

namespace moiety {
namespace {

struct Options {
  std::string in, out, to, type, expert_type, types, imatrix;
  bool pure = false;
  size_t threads = 0;
  UpcycleOptions upcycle;
};

void warn(const std::string& warning, bool quiet) {
  if (!warning.empty() && !quiet) std::fprintf(stderr, "warning: %s\n", warning.c_str());
}

// What stands beside the weights of a Hugging Face directory.
void add_companions(const Checkpoint& in, const std::filesystem::path& out, bool quiet) {
  if (in.is_gguf()) return warn(write_tokenizer(in.gguf()->metadata(), out), quiet);
  copy_companions(in.path(), out);
}

ConvertOptions prepare(const Options& o, Checkpoint& in, bool quiet) {
  ConvertOptions c;
  // Without --to the name says it: .gguf is a file, anything else a directory.
  c.to_hf = o.to.empty() ? !std::string_view(o.out).ends_with(".gguf") : o.to == "hf";
  if (!o.type.empty()) c.type = read_type(o.type, o.pure);
  if (!o.expert_type.empty()) c.expert_type = read_type(o.expert_type, o.pure);
  if (!o.types.empty()) c.rules = std::make_shared<TypeRules>(TypeRules::read(o.types));
  if (!o.imatrix.empty()) c.importance = std::make_shared<ImportanceMatrix>(ImportanceMatrix::read(o.imatrix));
  if (c.type && c.type->name == "q2_k_s" && !c.importance) throw UsageError("q2_k_s needs an importance matrix; give --imatrix F, or take q2_k");
  c.threads = o.threads;
  c.progress = show_progress("writing", "bytes", quiet);
  if (c.to_hf) c.add_companions = [&in, quiet](const std::filesystem::path& directory) { add_companions(in, directory, quiet); };
  else
    c.edit_metadata = [&in, quiet](Metadata& m) {
      if (in.is_gguf()) return copy_tokenizer(in.gguf()->metadata(), m);
      warn(export_tokenizer(in.path(), in.config().vocab, m), quiet);
    };
  return c;
}

void report(const ConvertReport& r, const Options& o, bool quiet) {
  for (const std::string& line : r.warnings) warn(line, quiet);
  for (const std::string& line : r.notes) fmt::print("{}\n", line);
  uint64_t before = 0;
  for (const ConvertReport::Change& c : r.changes) {
    before += c.bytes_before;
    const std::string_view from = type_info(c.from).name, to = type_info(c.to).name;
    if (c.from == c.to) fmt::print("{:<8} kept        {:>5} tensors  {:>10}\n", from, c.tensors, show_size(c.bytes_after));
    else fmt::print("{:<8} -> {:<8} {:>5} tensors  {:>10} -> {}\n", from, to, c.tensors, show_size(c.bytes_before), show_size(c.bytes_after));
  }
  fmt::print("{}: {} tensors, {} from {}\n", o.out, r.tensors, show_size(r.bytes), show_size(before));
}

void add_common(CLI::App& verb, Options& o) {
  verb.add_option("--to", o.to, "gguf or hf (default: gguf if OUT ends with .gguf)")->check(CLI::IsMember({"gguf", "hf"}));
  verb.add_option("--type", o.type,
                  "type of the matrices: f32, f16, bf16, or a mix by llama.cpp's rules: q4_k_m, q4_k_s, q5_k_m, q3_k_l, q2_k, q6_k, q8_0, q4_0, iq4_xs, "
                  "mxfp4_moe … (default: as stored)");
  verb.add_option("--expert-type", o.expert_type, "type or mix of the experts' matrices (default: as --type)");
  verb.add_option("--types", o.types,
                  "file of rules, stronger than both: lines of a pattern and a type; a pattern is a glob over tensor names (blk.*.ffn_down_exps.weight), "
                  "a regular expression between slashes, layers (3, 0-5) or layer:expert (3:17, 0-5:*) (default: none)");
  verb.add_option("--imatrix", o.imatrix, "importance matrix of llama.cpp's llama-imatrix (.dat or .gguf), which weighs the encoders' errors (default: none)");
  verb.add_flag("--pure", o.pure, "every matrix gets the type itself, not the mix of that name");
  verb.add_option("-t,--threads", o.threads, "threads (default: the cores that affinity and cgroup allow)")->check(CLI::Range(1, 1024));
}

}  // namespace

void add_convert(Commands& commands) {
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("convert", "between GGUF and Hugging Face, and between tensor types");
  verb->add_option("IN", o->in, "a GGUF file or a Hugging Face directory")->required();
  verb->add_option("OUT", o->out, "the file or directory to write")->required();
  add_common(*verb, *o);
  verb->footer("Example: moiety convert Mixtral-8x7B mixtral.gguf --type q4_k_m");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      Checkpoint in = Checkpoint::open(find_model(o->in));
      const ConvertReport r = convert(in, o->out, prepare(*o, in, commands.quiet));
      report(r, *o, commands.quiet);
      return 0;
    };
  });
}

void add_upcycle(Commands& commands) {
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("upcycle", "a mixture of experts out of a dense model: copies of its FFNs behind a random router");
  verb->add_option("DENSE", o->in, "a GGUF file or a Hugging Face directory")->required();
  verb->add_option("OUT", o->out, "the file or directory to write")->required();
  verb->add_option("--experts", o->upcycle.experts, "experts of each layer")->required()->check(CLI::Range(1, 4096));
  verb->add_option("--top-k", o->upcycle.top_k, "experts that serve a token")->required()->check(CLI::Range(1, 4096));
  verb->add_option("--noise", o->upcycle.noise, "noise on the copies, relative to each row's size (default 0)")->check(CLI::Range(0.0, 100.0));
  verb->add_option("--seed", o->upcycle.seed, "seed of router and noise (default 0)");
  add_common(*verb, *o);
  verb->footer("Example: moiety upcycle smollm2.gguf moe.gguf --experts 8 --top-k 2");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      Checkpoint in = Checkpoint::open(find_model(o->in));
      const ConvertReport r = upcycle(in, o->out, o->upcycle, prepare(*o, in, commands.quiet));
      fmt::print("{} layers with {} experts each, {} for a token\n", in.config().blocks.size(), o->upcycle.experts, o->upcycle.top_k);
      report(r, *o, commands.quiet);
      return 0;
    };
  });
}

}  // namespace moiety
