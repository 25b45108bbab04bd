#include "learn/function_routing.h"

#include <algorithm>
#include <numeric>

#include "learn/function.h"

namespace moiety {
namespace {

constexpr size_t chunk = 64;  // rows that share a history, and a thread

struct Chunk {
  RoutingHistory history;
  std::vector<Choice> choices;    // row after row, ascending experts
  std::vector<uint32_t> counts;   // of each row
};

// What the backward pass needs of the rows.
struct Recorded : torch::CustomClassHolder {
  const Pipeline* pipeline;
  RoutedInput beside;
  at::Tensor features;
  std::vector<Chunk> chunks;
  std::vector<int64_t> first;  // [rows + 1] into the slots
  size_t rows = 0;

  // Rows that see each other have one history.
  size_t chunk_rows() const { return pipeline->has_cohort_stage() ? std::max<size_t>(rows, 1) : chunk; }
};

// Rows as the pipeline sees them; they point into it.
class Inputs {
 public:
  explicit Inputs(const Recorded& r) : r_(r), length_(r.beside.length ? static_cast<size_t>(r.beside.length) : std::max<size_t>(r.rows, 1)) {}

  std::span<const RoutingInput> read(size_t first, size_t count) {
    inputs_.clear();
    sequences_.resize(count);
    const ConstRows x = r_.features.defined() ? rows_of(r_.features) : ConstRows();
    for (size_t row = first; row < first + count; row++) {
      const size_t sequence = row / length_, position = row % length_;
      SequenceContext& context = sequences_[row - first] = {r_.beside.seed + sequence, {}, {}};
      if (r_.beside.ids.defined()) context.ids = {r_.beside.ids.data_ptr<int32_t>() + sequence * length_, position + 1};
      RoutingInput in;
      in.site = r_.beside.site, in.layer = r_.beside.layer, in.position = static_cast<uint32_t>(position);
      if (x.data) in.features = {x[row], x.cols};
      if (r_.pipeline->needs() & needs::sequence) in.sequence = &context;
      inputs_.push_back(in);
    }
    return inputs_;
  }

 private:
  const Recorded& r_;
  size_t length_;
  std::vector<SequenceContext> sequences_;
  std::vector<RoutingInput> inputs_;
};

void add_choices(Chunk& part, std::span<const Choice> choices) {
  const auto begin = part.choices.insert(part.choices.end(), choices.begin(), choices.end());
  std::ranges::sort(begin, part.choices.end(), {}, &Choice::expert);
  part.counts.push_back(static_cast<uint32_t>(choices.size()));
}

void run_chunk(const Recorded& r, std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingScratch& scratch, Chunk& part) {
  if (r.pipeline->has_cohort_stage()) {
    RoutingPlan plan;
    r.pipeline->run_cohort_recorded(inputs, logits, plan, part.history);
    for (size_t row = 0; row < plan.rows(); row++) add_choices(part, plan[row]);
    return;
  }
  const size_t width = logits.size() / inputs.size();
  for (size_t row = 0; row < inputs.size(); row++) {
    r.pipeline->run_recorded(inputs[row], logits.subspan(row * width, width), scratch, part.history);
    add_choices(part, scratch.choices);
  }
}

// Fills what is recorded; returns the weights.   [slots]
at::Tensor run(Recorded& r, const at::Tensor& logits, Workers& workers) {
  const size_t at_once = r.chunk_rows();
  r.chunks.resize((r.rows + at_once - 1) / at_once);
  std::vector<RoutingScratch> scratch(workers.size());
  workers.run(r.chunks.size(), 1, [&](size_t begin, size_t end, size_t worker) {
    Inputs inputs(r);
    for (size_t i = begin; i < end; i++) {
      const size_t first = i * at_once, count = std::min(r.rows - first, at_once);
      std::span<const float> scores;
      if (logits.defined()) scores = {rows_of(logits)[first], count * rows_of(logits).cols};
      run_chunk(r, inputs.read(first, count), scores, scratch[worker], r.chunks[i]);
    }
  });
  r.first.assign(1, 0);
  std::vector<float> weights;
  for (const Chunk& part : r.chunks) {
    for (const Choice& choice : part.choices) weights.push_back(choice.weight);
    for (uint32_t n : part.counts) r.first.push_back(r.first.back() + n);
  }
  at::Tensor out = at::empty({static_cast<int64_t>(weights.size())}, at::kFloat);
  std::ranges::copy(weights, out.data_ptr<float>());
  return out;
}

struct Route : torch::autograd::Function<Route> {
  static at::Tensor forward(AutogradContext* c, at::Tensor logits, c10::intrusive_ptr<Recorded> recorded, Pass* pass) {
    c->saved_data["recorded"] = c10::IValue::make_capsule(recorded);
    c->saved_data["experts"] = logits.size(1);
    keep(c, pass);
    return run(*recorded, logits, pass->workers);
  }

  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const auto recorded = c10::static_intrusive_pointer_cast<Recorded>(c->saved_data["recorded"].toCapsule());
    const Recorded& r = *recorded;
    const at::Tensor d = d_out[0].contiguous();
    at::Tensor d_logits = at::zeros({static_cast<int64_t>(r.rows), c->saved_data["experts"].toInt()}, d.options());
    const Rows out = rows_to(d_logits);
    std::vector<GradientScratch> scratch(pass.workers.size());
    pass.workers.run(r.chunks.size(), 1, [&](size_t begin, size_t end, size_t worker) {
      Inputs inputs(r);
      std::vector<RowGradient> gradients;
      std::vector<Choice> d_choices;
      for (size_t i = begin; i < end; i++) {
        const Chunk& part = r.chunks[i];
        const size_t first_row = i * r.chunk_rows();
        gradients.clear();
        d_choices = part.choices;
        for (size_t k = 0; k < d_choices.size(); k++) d_choices[k].weight = d.data_ptr<float>()[static_cast<size_t>(r.first[first_row]) + k];
        for (size_t k = 0, at = 0; k < part.counts.size(); at += part.counts[k++])
          gradients.push_back({{d_choices.data() + at, part.counts[k]}, {out[first_row + k], out.cols}, {}, {}, {}, nullptr});
        r.pipeline->backward(inputs.read(first_row, part.counts.size()), part.history, 0, gradients, scratch[worker]);
      }
    });
    return {d_logits, {}, {}};
  }
};

// Rows that chose each expert, also those that a stage for training left without it.
std::vector<int64_t> chosen(const Recorded& r) {
  std::vector<int64_t> load(r.pipeline->experts());
  const auto& entries = r.pipeline->entries();
  size_t stage = 0;  // the first that takes rows from experts
  while (stage < entries.size() && !std::holds_alternative<std::unique_ptr<CohortStage>>(entries[stage].stage)) stage++;
  for (const Chunk& part : r.chunks)
    for (size_t row = 0; row < part.history.rows(); row++)
      for (const Candidate& c : part.history.before(row, stage)) load[c.expert]++;
  return load;
}

}  // namespace

RoutedRows route(const Pipeline& pipeline, const at::Tensor& logits, const at::Tensor& features, const RoutedInput& beside, Pass& pass) {
  auto recorded = c10::make_intrusive<Recorded>();
  recorded->pipeline = &pipeline;
  recorded->beside = beside;
  if (features.is_cpu()) recorded->features = features.detach().contiguous();  // no stage reads them yet: they needn't come from another device
  recorded->rows = static_cast<size_t>(features.size(0));
  RoutedRows out;
  out.weight = (logits.defined() ? Route::apply(logits.cpu().contiguous(), recorded, &pass) : run(*recorded, logits, pass.workers)).to(features.device());
  out.first = recorded->first;
  out.load = chosen(*recorded);
  for (const Chunk& part : recorded->chunks)
    for (const Choice& choice : part.choices) out.expert.push_back(static_cast<int32_t>(choice.expert));
  out.dropped = std::accumulate(out.load.begin(), out.load.end(), int64_t{0}) - static_cast<int64_t>(out.expert.size());
  out.slots = std::make_shared<ExpertSlots>(expert_slots(out.first, out.expert, out.load.size()));
  return out;
}

at::Tensor rows_of_choices(const RoutedRows& routed) {
  at::Tensor out = at::empty({static_cast<int64_t>(routed.expert.size())}, at::kLong);
  for (size_t r = 0; r + 1 < routed.first.size(); r++) std::fill(out.data_ptr<int64_t>() + routed.first[r], out.data_ptr<int64_t>() + routed.first[r + 1], static_cast<int64_t>(r));
  return out;
}

}  // namespace moiety
