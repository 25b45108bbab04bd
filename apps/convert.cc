// moiety convert and moiety upcycle: checkpoints written anew.
#include <unistd.h>

#include <cstdio>

#include "apps/verbs.h"
#include "base/size.h"
#include "grow/upcycle.h"
#include "text/tokenizer_export.h"

namespace moiety {
namespace {

struct Options {
  std::string in, out, to, type, expert_type;
  UpcycleOptions upcycle;
};

TensorType wanted_type(const std::string& name) {
  const auto type = type_by_name(name);
  if (!type) throw UsageError("'{}' is no tensor type; f32, f16, bf16, q8_0, q4_k … are", name);
  return *type;
}

ConvertOptions prepare(const Options& o, Checkpoint& in, bool quiet) {
  ConvertOptions c;
  // Without --to the name says it: .gguf is a file, anything else a directory.
  c.to_hf = o.to.empty() ? !std::string_view(o.out).ends_with(".gguf") : o.to == "hf";
  if (!o.type.empty()) c.type = wanted_type(o.type);
  if (!o.expert_type.empty()) c.expert_type = wanted_type(o.expert_type);
  const bool terminal = isatty(2);
  if (!quiet && terminal) c.progress = [](size_t done, size_t all) { std::fprintf(stderr, "\rtensor %zu of %zu%s", done, all, done == all ? "\n" : ""); };
  if (!c.to_hf)
    c.edit_metadata = [&in, quiet](Metadata& m) {
      if (in.is_gguf()) return copy_tokenizer(in.gguf()->metadata(), m);
      const std::string warning = export_tokenizer(in.path(), in.config().vocab, m);
      if (!warning.empty() && !quiet) std::fprintf(stderr, "warning: %s\n", warning.c_str());
    };
  return c;
}

void copy_companions(const Checkpoint& in, const std::filesystem::path& out) {
  if (in.is_gguf()) return;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "tokenizer.model", "generation_config.json", "chat_template.jinja"})
    if (std::filesystem::exists(in.path() / name))
      std::filesystem::copy_file(in.path() / name, out / name, std::filesystem::copy_options::overwrite_existing);
}

void report(const ConvertReport& r, const Options& o) {
  for (const std::string& line : r.fallbacks) fmt::print("{}\n", line);
  uint64_t bytes = 0;
  if (std::filesystem::is_directory(o.out))
    for (const auto& entry : std::filesystem::directory_iterator(o.out)) bytes += entry.is_regular_file() ? entry.file_size() : 0;
  else
    bytes = std::filesystem::file_size(o.out);
  fmt::print("{}: {} tensors, {}\n", o.out, r.tensors, show_size(bytes));
}

void add_common(CLI::App& verb, Options& o) {
  verb.add_option("--to", o.to, "gguf or hf (default: gguf if OUT ends with .gguf)")->check(CLI::IsMember({"gguf", "hf"}));
  verb.add_option("--type", o.type, "type of the matrices: f32, f16, bf16, q8_0, q4_k … (default: as stored)");
  verb.add_option("--expert-type", o.expert_type, "type of the experts' matrices (default: as --type)");
}

}  // namespace

void add_convert(Commands& commands) {
  auto o = std::make_shared<Options>();
  CLI::App* verb = commands.app.add_subcommand("convert", "between GGUF and Hugging Face, and between tensor types");
  verb->add_option("IN", o->in, "a GGUF file or a Hugging Face directory")->required();
  verb->add_option("OUT", o->out, "the file or directory to write")->required();
  add_common(*verb, *o);
  verb->footer("Example: moiety convert Mixtral-8x7B mixtral.gguf --type q8_0");
  verb->callback([o, &commands] {
    commands.chosen = [o, &commands] {
      Checkpoint in = Checkpoint::open(find_model(o->in));
      const ConvertOptions c = prepare(*o, in, commands.quiet);
      const ConvertReport r = convert(in, o->out, c);
      if (c.to_hf) copy_companions(in, o->out);
      report(r, *o);
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
      const ConvertOptions c = prepare(*o, in, commands.quiet);
      const ConvertReport r = upcycle(in, o->out, o->upcycle, c);
      if (c.to_hf) copy_companions(in, o->out);
      fmt::print("{} layers with {} experts each, {} for a token\n", in.config().blocks.size(), o->upcycle.experts, o->upcycle.top_k);
      report(r, *o);
      return 0;
    };
  });
}

}  // namespace moiety
