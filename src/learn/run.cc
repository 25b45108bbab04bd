#include "learn/run.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/size.h"
#include "kernels/isa.h"
#include "learn/allocator.h"
#include "learn/checkpoint.h"
#include "learn/export.h"
#include "learn/metrics.h"
#include "learn/optimiser.h"
#include "learn/report.h"
#include "learn/rules.h"
#include "learn/summary.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

// The numbers of the loop itself.
struct Plan {
  uint64_t seed, steps, batch, sequences_at_once, evaluate_every, checkpoint_every, keep;
  double clip, beta1, beta2, epsilon;
  Schedule rate = 0, decay = 0;

  static Plan read(const Table& root) {
    Plan p;
    p.seed = root.count("seed", 0);
    p.steps = root.count("steps");
    p.batch = root.count("batch");
    p.sequences_at_once = root.count("sequences_at_once", p.batch);
    if (p.batch > 1 << 20) root.wrong("batch", "it is larger than 1048576");
    if (p.steps == 0 || p.batch == 0) root.wrong(p.steps ? "batch" : "steps", "it must not be 0");
    if (p.sequences_at_once == 0 || p.batch % p.sequences_at_once) root.wrong("sequences_at_once", "it must divide batch");
    p.clip = root.number("clip", 1);
    p.evaluate_every = root.count("evaluate_every", p.steps);
    p.checkpoint_every = root.count("checkpoint_every", p.steps);
    p.keep = root.count("keep", 2);
    if (p.evaluate_every == 0 || p.checkpoint_every == 0) root.wrong(p.evaluate_every ? "checkpoint_every" : "evaluate_every", "it must not be 0");
    const Table o = root.table("optimiser");
    p.rate = o.schedule("rate");
    p.decay = o.schedule("decay", 0.1);
    p.beta1 = o.number("beta1", 0.9);
    p.beta2 = o.number("beta2", 0.95);
    p.epsilon = o.number("epsilon", 1e-8);
    return p;
  }
};

// One optimiser step over the batch, in passes of a few sequences.
struct StepResult {
  double loss = 0, nll = 0, norm = 0;
  std::vector<std::pair<std::string, double>> losses;  // that parts added
};

class Loop {
 public:
  Loop(const Plan& plan, LanguageModel& model, Arena& arena, Corpus& corpus, Workers& workers) : plan_(plan), model_(model), arena_(arena), corpus_(corpus), pass_{workers, &arena, {}} {}

  StepResult step(uint64_t number, std::vector<SiteRecord>& sites) {
    const std::vector<TrainingWindow> windows = corpus_.mixture->next(number, plan_.batch);
    StepResult out;
    TrainingStep step{pass_, number};
    arena_.begin_step();
    for (size_t first = 0; first < windows.size(); first += plan_.sequences_at_once) {
      const HeadResult head = forward({windows.data() + first, plan_.sequences_at_once}, seed_of(number, first), step);
      const double share = static_cast<double>(plan_.sequences_at_once) / static_cast<double>(plan_.batch);
      at::Tensor loss = head.loss;
      for (const auto& [name, extra] : step.losses) loss = loss + extra;
      (loss * share).backward();
      out.loss += loss.item<double>() * share;
      out.nll += head.nll.mean().item<double>() * share;
      add_losses(step, share, out);
    }
    arena_.end_step();
    out.norm = gradient_norm(arena_, pass_.workers);
    if (std::isfinite(out.loss) && std::isfinite(out.norm)) {
      const AdamW o{.rate = static_cast<float>(plan_.rate.at(number)), .beta1 = static_cast<float>(plan_.beta1), .beta2 = static_cast<float>(plan_.beta2),
                    .epsilon = static_cast<float>(plan_.epsilon), .decay = static_cast<float>(plan_.decay.at(number)), .step = number + 1};
      move_parameters(arena_, o, out.norm, plan_.clip, pass_.workers);
      model_.after_step(step);
    }
    sites = std::move(step.sites);
    return out;
  }

  Pass& pass() { return pass_; }

 private:
  // Random stages draw from a seed for every window of the run.
  uint64_t seed_of(uint64_t step, size_t window) const { return (plan_.seed << 48 | 1) + step * plan_.batch + window; }

  HeadResult forward(std::span<const TrainingWindow> windows, uint64_t seed, TrainingStep& step) {
    const int64_t length = model_.context(), rows = static_cast<int64_t>(windows.size()) * length;
    at::Tensor ids = at::empty({rows}, at::kInt), targets = at::empty({rows}, at::kInt);
    std::vector<int32_t> window(static_cast<size_t>(length) + 1);
    for (size_t w = 0; w < windows.size(); w++) {
      corpus_.mixture->read(windows[w], window);
      std::copy_n(window.data(), length, ids.data_ptr<int32_t>() + static_cast<int64_t>(w) * length);
      std::copy_n(window.data() + 1, length, targets.data_ptr<int32_t>() + static_cast<int64_t>(w) * length);
    }
    step.losses.clear();
    return model_.forward({rows, length, ids, seed}, targets, step);
  }

  static void add_losses(const TrainingStep& step, double share, StepResult& out) {
    for (const auto& [name, value] : step.losses) {
      auto sum = std::ranges::find(out.losses, name, &std::pair<std::string, double>::first);
      if (sum == out.losses.end()) sum = out.losses.insert(sum, {name, 0.0});
      sum->second += value.item<double>() * share;
    }
  }

  const Plan& plan_;
  LanguageModel& model_;
  Arena& arena_;
  Corpus& corpus_;
  Pass pass_;
};

// Which gradient went wrong first, for a message.
std::string first_broken(Arena& arena) {
  for (const Parameter& p : arena.parameters())
    for (size_t i = 0; i < p.count; i++)
      if (!std::isfinite(arena.gradients()[p.at + i])) return fmt::format("; the first gradient that is not finite is that of {}", p.name);
  return "";
}

std::optional<at::Device> device_of(const std::string& name) {
  if (name.empty()) return {};
  if (!at::globalContext().hasCUDA()) throw UsageError("--device {}: the libtorch that this program runs with finds no such device; leave the option out", name);
  return at::Device(name);
}

// Values, gradients and two moments, float32 each.
void check_memory(const Arena& arena) {
  const uint64_t needed = arena.size() * 4 * sizeof(float), there = machine_memory_bytes();
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
  const CorpusPlan data = CorpusPlan::read(root.table("data"), origin);
  const DataTokenizer tokenizer = load_data_tokenizer(data.tokenizer);
  Arena arena;
  LanguageModel model(root.table("model"), static_cast<int64_t>(tokenizer.tokenizer->size()), arena);
  apply_rules(root, arena);
  description.check_all_read();
  check_memory(arena);
  if (o.only_check) return {};
  const std::string beyond = beyond_transformers(model);
  if (!beyond.empty() && !o.quiet) std::fprintf(stderr, "note: the model will be exported with Moiety's own keys, and Transformers can't read it: %s\n", beyond.c_str());

  Workers workers(o.threads ? o.threads : default_thread_count());
  fs::create_directories(start.folder);
  remove_leftovers(start.folder);
  Corpus corpus = Corpus::open(data, tokenizer, data.cache.empty() ? start.folder / "data" : data.cache, static_cast<size_t>(model.context()), plan.seed, workers.size(), o.quiet);
  arena.finish(plan.seed, workers, device);
  if (!start.checkpoint) model.see_text(corpus.token_counts(tokenizer.tokenizer->size()), plan.seed);
  const Buffers buffers = model.buffers();
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
  Loop loop(plan, model, arena, corpus, workers);
  Progress progress("train", "steps", plan.steps, progress_on_stderr(o.quiet));
  const auto seconds = [begin = std::chrono::steady_clock::now()] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  const uint64_t tokens_before = result.tokens;
  double stepping = 0;  // seconds
  // Read now: what a run goes on from is removed once there are newer checkpoints.
  std::vector<Companion> companions{{"config.toml", read_text_file(start.config)}};
  if (fs::is_regular_file(data.tokenizer)) companions.push_back({"tokenizer.json", read_text_file(data.tokenizer)});
  const auto save = [&] {
    write_checkpoint(start.folder, result.steps, arena, buffers,
                     {{"step", result.steps}, {"tokens", result.tokens}, {"data", corpus.mixture->state()}, {"metrics_bytes", metrics.bytes()}, {"origin", origin.string()},
                      {"instruction_set", isa_name(current_isa())}},
                     companions, plan.keep);
  };
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
    if (result.steps % plan.evaluate_every == 0 || result.steps == plan.steps) {
      arena.refresh();
      result.held_out = evaluate(model, corpus.held_out, plan.sequences_at_once, loop.pass());
      metrics.evaluation(result.steps, result.held_out);
      write_report(start.folder);
    }
    if (result.steps % plan.checkpoint_every == 0 || result.steps == plan.steps) save();
  }
  arena.refresh();
  if (result.held_out.empty()) result.held_out = evaluate(model, corpus.held_out, plan.sequences_at_once, loop.pass());
  result.active_parameters = model.active_parameters();
  result.seconds = seconds();
  if (stepping > 0) result.tokens_per_s = static_cast<double>(result.tokens - tokens_before) / stepping;
  write_summary(result, plan.seed);
  result.model = start.folder / "model";
  export_model(model, arena, data.tokenizer, tokenizer, result.model);
  return result;
}

}  // namespace moiety
