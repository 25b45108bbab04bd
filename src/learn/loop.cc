#include "learn/loop.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "learn/average.h"
#include "learn/optimiser.h"

namespace moiety {

Plan Plan::read(const Table& root) {
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
  const std::string precision = root.text("precision", "f32");
  if (precision != "f32" && precision != "bf16") root.wrong("precision", "f32 or bf16 is expected");
  p.precision = precision == "bf16" ? Precision::bf16 : Precision::f32;
  if (p.evaluate_every == 0 || p.checkpoint_every == 0) root.wrong(p.evaluate_every ? "checkpoint_every" : "evaluate_every", "it must not be 0");
  const Table o = root.table("optimiser");
  p.rate = o.schedule("rate");
  p.decay = o.schedule("decay", 0.1);
  p.beta1 = o.number("beta1", 0.9);
  p.beta2 = o.number("beta2", 0.95);
  p.epsilon = o.number("epsilon", 1e-8);
  p.ema = o.number("ema", 0);
  if (p.ema < 0 || p.ema >= 1) o.wrong("ema", "a number in [0, 1) is expected");
  return p;
}

std::unique_ptr<Objective> objective_of(const Table& root) {
  if (!root.has("objective")) return objectives()[0].build(root);
  const Table table = root.table("objective");
  return named(objectives(), table, "kind", objectives()[0].name).build(table);
}

// A step's windows, in passes of a few sequences.
class Loop::Windows : public StepBatch {
 public:
  Windows(const Plan& plan, LanguageModel& model, Arena& arena, Corpus& corpus) : plan_(plan), model_(model), arena_(arena), corpus_(corpus) {}

  void next(uint64_t number) { windows_ = corpus_.mixture->next(number, plan_.batch); }

  StepLosses gradients(TrainingStep& step) override {
    StepLosses out;
    arena_.begin_step();
    for (size_t first = 0; first < windows_.size(); first += plan_.sequences_at_once) {
      const HeadResult head = forward({windows_.data() + first, plan_.sequences_at_once}, seed_of(step.number, first), step);
      const double share = static_cast<double>(plan_.sequences_at_once) / static_cast<double>(plan_.batch);
      at::Tensor loss = head.loss;
      for (const auto& [name, extra] : step.losses) loss = loss + extra;
      (loss * share).backward();
      out.loss += loss.item<double>() * share;
      out.nll += head.nll.mean().item<double>() * share;
      add_losses(step, share, out);
    }
    arena_.end_step();
    return out;
  }

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

  static void add_losses(const TrainingStep& step, double share, StepLosses& out) {
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
  std::vector<TrainingWindow> windows_;
};

Loop::Loop(const Plan& plan, Objective& objective, LanguageModel& model, Arena& arena, Corpus& corpus, Workers& workers)
    : plan_(plan), objective_(objective), model_(model), arena_(arena), windows_(std::make_unique<Windows>(plan, model, arena, corpus)), pass_{workers, &arena, {}, plan.precision} {}
Loop::~Loop() = default;

StepResult Loop::step(uint64_t number, std::vector<SiteRecord>& sites) {
  windows_->next(number);
  TrainingStep step{pass_, number};
  StepResult out{objective_.step(*windows_, step)};
  out.norm = gradient_norm(arena_, pass_.workers);
  if (std::isfinite(out.loss) && std::isfinite(out.norm)) {
    const AdamW o{.rate = static_cast<float>(plan_.rate.at(number)), .beta1 = static_cast<float>(plan_.beta1), .beta2 = static_cast<float>(plan_.beta2),
                  .epsilon = static_cast<float>(plan_.epsilon), .decay = static_cast<float>(plan_.decay.at(number)), .step = number + 1};
    move_parameters(arena_, o, out.norm, plan_.clip, pass_.workers);
    model_.after_step(step);
    if (arena_.averages()) move_average(arena_, plan_.ema, number, pass_.workers);
  }
  sites = std::move(step.sites);
  return out;
}

}  // namespace moiety
