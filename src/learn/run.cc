#include "learn/run.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/folder_lock.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/size.h"
#include "kernels/isa.h"
#include "learn/allocator.h"
#include "learn/average.h"
#include "learn/checkpoint.h"
#include "learn/export.h"
#include "learn/facts.h"
#include "learn/loop.h"
#include "learn/metrics.h"
#include "learn/pretrained.h"
#include "learn/report.h"
#include "learn/rules.h"
#include "learn/summary.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

// Which gradient went wrong first, for a message.
std::string first_broken(Arena& arena) {
  for (const Parameter& p : arena.parameters())
    for (size_t i = 0; i < p.count && !p.frozen(); i++)
      if (!std::isfinite(arena.gradients()[p.at + i])) return fmt::format("; the first gradient that is not finite is that of {}", p.name);
  return "";
}

std::optional<at::Device> device_of(const std::string& name) {
  if (name == "cpu") return {};
  if (!at::globalContext().hasCUDA()) throw UsageError("--device {}: the libtorch that this program runs with finds no such device; leave the option out", name);
  return at::Device(name);
}

// Values, and `more` arrays of those that move, float32 each.
void check_memory(const Arena& arena, size_t more) {
  const uint64_t needed = (arena.size() + arena.moving() * more) * sizeof(float), there = machine_memory_bytes();
  if (needed > there)
    throw Error("the model has {} parameters, whose training takes {} before any activation; this machine has {}", arena.size(), show_size(needed), show_size(there));
}

void write_summary(const RunResult& result, uint64_t seed) {
  AtomicFile file(result.folder / "summary.json");
  file.write(summary(result, seed).dump(2) + "\n");
  file.commit();
}

// Where a run's files are, and what it begins with.
struct Start {
  fs::path folder, config;
  std::optional<fs::path> checkpoint;
};

Start start_of(const RunOptions& o) {
  Start out;
  if (o.resume) {
    out.folder = *o.folder;
    out.checkpoint = newest_checkpoint(out.folder);
    if (!out.checkpoint) throw Error("{}: there is no checkpoint to go on from", out.folder.string());
    out.config = *out.checkpoint / "config.toml";
  } else {
    out.config = o.config;
    out.folder = o.folder ? *o.folder : fs::path(o.config).replace_extension();
    if (newest_checkpoint(out.folder)) throw Error("{}: holds a run already; `moiety train --resume {}` goes on with it, or give another --out", out.folder.string(), out.folder.string());
  }
  return out;
}

}  // namespace

RunResult train(const RunOptions& o) {
  at::set_num_threads(1);
  keep_tensor_memory();
  const std::optional<at::Device> device = device_of(o.device);
  const Start start = start_of(o);
  Description description = Description::read(start.config);
  const Table root = description.root();
  description.set_steps(root.count("steps"));
  const Plan plan = Plan::read(root);
  // Files are named relative to where the configuration was written; its copy in a checkpoint remembers that place.
  const nlohmann::json saved = start.checkpoint ? parse_json(read_text_file(*start.checkpoint / "state.json"), (*start.checkpoint / "state.json").string()) : nlohmann::json::object();
  const fs::path origin = start.checkpoint ? fs::path(saved.at("origin").get<std::string>()) : fs::absolute(start.config).parent_path();
  const Table model_table = root.table("model");
  std::optional<Pretrained> source;
  if (model_table.has("from")) source = Pretrained::open(origin / model_table.text("from"));
  const CorpusPlan data = CorpusPlan::read(root.table("data"), origin, source ? source->path() : fs::path());
  const DataTokenizer tokenizer = load_data_tokenizer(data.tokenizer);
  const int64_t tokens = static_cast<int64_t>(tokenizer.tokenizer->size());
  if (source && tokens > source->vocabulary()) throw Error("{}: has {} tokens, and the model a row for {} of them", data.tokenizer.string(), tokens, source->vocabulary());
  const Description shape = source ? source->description(model_table) : description;
  Arena arena;
  LanguageModel model(source ? shape.root() : model_table, source ? source->vocabulary() : tokens, arena);
  const std::unique_ptr<Objective> objective = objective_of(root);
  check_memory(arena, 0);  // before rules look at every expert
  apply_rules(root, arena);
  description.check_all_read();
  check_memory(arena, 3 + objective->arrays() + (plan.ema > 0));  // gradients and two moments
  if (const PartFacts facts = model.facts(); !source && !facts.unwritten.empty())
    model_table.wrong("block", fmt::format("{}: no export has words for it; only a model that a run starts from (`from`) may have more than those", facts.unwritten));
  const std::string beyond = source ? "" : beyond_transformers(model);
  if (o.only_check) return {};
  if (!beyond.empty() && !o.quiet) std::fprintf(stderr, "note: the model will be exported with Moiety's own keys, and Transformers can't read it: %s\n", beyond.c_str());
  if (device && plan.precision != Precision::f32 && !o.quiet) std::fprintf(stderr, "note: on %s products are computed in float32\n", o.device.c_str());

  Workers workers(o.threads ? o.threads : default_thread_count());
  fs::create_directories(start.folder);
  const FolderLock lock(start.folder, "another `moiety train`");
  remove_leftovers(start.folder);
  Corpus corpus = Corpus::open(data, tokenizer, data.cache.empty() ? start.folder / "data" : data.cache, static_cast<size_t>(model.context()), plan.seed, workers.size(), o.quiet);
  arena.finish(plan.seed, workers, device);
  const Buffers buffers = model.buffers();
  if (!start.checkpoint && source) source->read(arena, buffers, show_progress("reading " + source->path().filename().string(), "bytes", o.quiet));
  else if (!start.checkpoint) model.see_text(corpus.token_counts(tokenizer.tokenizer->size()), plan.seed);
  if (plan.ema > 0) arena.keep_average();
  RunResult result;
  result.folder = start.folder;
  uint64_t metrics_bytes = 0;
  if (start.checkpoint) {
    read_checkpoint(*start.checkpoint, arena, buffers);
    corpus.mixture->restore(saved.at("data"), (*start.checkpoint / "state.json").string());
    result.steps = saved.at("step").get<uint64_t>(), result.tokens = saved.at("tokens").get<uint64_t>(), metrics_bytes = saved.at("metrics_bytes").get<uint64_t>();
  }
  for (const Parameter& p : arena.parameters()) result.parameters += p.count;
  Metrics metrics(start.folder / "metrics.jsonl", metrics_bytes);
  Loop loop(plan, *objective, model, arena, corpus, workers);
  Progress progress("train", "steps", plan.steps, progress_on_stderr(o.quiet));
  const auto seconds = [begin = std::chrono::steady_clock::now()] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  const uint64_t tokens_before = result.tokens;
  double stepping = 0;  // seconds
  // Read now: what a run goes on from is removed once there are newer checkpoints.
  const bool own_tokenizer = source && data.tokenizer == source->path();
  std::vector<Companion> companions{{"config.toml", read_text_file(start.config)}};
  if (!own_tokenizer && fs::is_regular_file(data.tokenizer)) companions.push_back({"tokenizer.json", read_text_file(data.tokenizer)});
  const auto save = [&] {
    write_checkpoint(start.folder, result.steps, arena, buffers,
                     {{"step", result.steps}, {"tokens", result.tokens}, {"data", corpus.mixture->state()}, {"metrics_bytes", metrics.bytes()}, {"origin", origin.string()},
                      {"instruction_set", isa_name(current_isa())}},
                     companions, plan.keep);
  };
  const auto evaluation = [&] {
    const AveragedWeights averaged(arena);
    result.held_out = evaluate(model, corpus.held_out, plan.sequences_at_once, loop.pass());
    metrics.evaluation(result.steps, result.held_out);
    write_report(start.folder);
  };
  if (source && !start.checkpoint) evaluation();  // what the model knew before
  while (result.steps < plan.steps) {
    throw_if_interrupted();
    progress.set(result.steps, plan.steps);
    std::vector<SiteRecord> sites;
    const double before = seconds();
    const StepResult s = loop.step(result.steps, sites);
    stepping += seconds() - before;
    if (!std::isfinite(s.loss) || !std::isfinite(s.norm))
      throw Error("step {}: the loss is {} and the gradients' norm {}{}; a lower rate, a longer warmup or a smaller clip may help", result.steps, s.loss, s.norm, first_broken(arena));
    result.steps++;
    result.tokens += plan.batch * static_cast<uint64_t>(model.context());
    metrics.step(result.steps, result.tokens, {s.loss, s.nll, s.norm, plan.rate.at(result.steps - 1)}, s.losses, sites);
    if (result.steps % plan.evaluate_every == 0 || result.steps == plan.steps) evaluation();
    if (result.steps % plan.checkpoint_every == 0 || result.steps == plan.steps) save();
  }
  const AveragedWeights averaged(arena);
  if (result.held_out.empty()) result.held_out = evaluate(model, corpus.held_out, plan.sequences_at_once, loop.pass());
  result.active_parameters = model.active_parameters();
  result.seconds = seconds();
  if (stepping > 0) result.tokens_per_s = static_cast<double>(result.tokens - tokens_before) / stepping;
  write_summary(result, plan.seed);
  result.model = start.folder / "model";
  if (!source) export_model(model, arena, data.tokenizer, tokenizer, result.model);
  else
    source->write(arena, buffers, result.model, workers.size(), [&](const fs::path& directory) {
      own_tokenizer ? source->copy_tokenizer(directory) : export_tokenizer(data.tokenizer, tokenizer, model.context(), directory);
    });
  return result;
}

}  // namespace moiety
