#include "learn/function_routing.h"

#include <algorithm>

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
  std::vector<Chunk> chunks;
  std::vector<int64_t> first;  // [rows + 1] into the slots
};

RoutingInput input_of(size_t row, const at::Tensor& features) {
  RoutingInput in;
  in.position = static_cast<uint32_t>(row);
  const ConstRows x = rows_of(features);
  in.features = {x[row], x.cols};
  return in;
}

struct Route : torch::autograd::Function<Route> {
  static at::Tensor forward(AutogradContext* c, at::Tensor logits, at::Tensor features, c10::intrusive_ptr<Recorded> recorded, Pass* pass) {
    const ConstRows z = rows_of(logits);
    Recorded& r = *recorded;
    r.chunks.resize((z.rows + chunk - 1) / chunk);
    std::vector<RoutingScratch> scratch(pass->workers.size());
    pass->workers.run(r.chunks.size(), 1, [&](size_t begin, size_t end, size_t worker) {
      for (size_t i = begin; i < end; i++) {
        Chunk& part = r.chunks[i];
        for (size_t row = i * chunk; row < std::min(z.rows, (i + 1) * chunk); row++) {
          RoutingScratch& s = scratch[worker];
          r.pipeline->run_recorded(input_of(row, features), {z[row], z.cols}, s, part.history);
          std::ranges::sort(s.choices, {}, &Choice::expert);
          part.choices.insert(part.choices.end(), s.choices.begin(), s.choices.end());
          part.counts.push_back(static_cast<uint32_t>(s.choices.size()));
        }
      }
    });
    r.first.assign(1, 0);
    std::vector<float> weights;
    for (const Chunk& part : r.chunks) {
      for (const Choice& choice : part.choices) weights.push_back(choice.weight);
      for (uint32_t n : part.counts) r.first.push_back(r.first.back() + n);
    }
    at::Tensor out = at::empty({static_cast<int64_t>(weights.size())}, logits.options());
    std::ranges::copy(weights, out.data_ptr<float>());
    c->save_for_backward({features});
    c->saved_data["recorded"] = c10::IValue::make_capsule(recorded);
    c->saved_data["experts"] = static_cast<int64_t>(z.cols);
    keep(c, pass);
    return out;
  }

  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const auto recorded = c10::static_intrusive_pointer_cast<Recorded>(c->saved_data["recorded"].toCapsule());
    const Recorded& r = *recorded;
    const at::Tensor features = c->get_saved_variables()[0], d = d_out[0].contiguous();
    const size_t rows = r.first.size() - 1;
    at::Tensor d_logits = at::zeros({static_cast<int64_t>(rows), c->saved_data["experts"].toInt()}, d.options());
    const Rows out = rows_to(d_logits);
    std::vector<GradientScratch> scratch(pass.workers.size());
    pass.workers.run(r.chunks.size(), 1, [&](size_t begin, size_t end, size_t worker) {
      std::vector<RoutingInput> inputs;
      std::vector<RowGradient> gradients;
      std::vector<Choice> d_choices;
      for (size_t i = begin; i < end; i++) {
        const Chunk& part = r.chunks[i];
        const size_t first_row = i * chunk;
        inputs.clear(), gradients.clear();
        d_choices = part.choices;
        for (size_t k = 0; k < d_choices.size(); k++) d_choices[k].weight = d.data_ptr<float>()[static_cast<size_t>(r.first[first_row]) + k];
        for (size_t k = 0, at = 0; k < part.counts.size(); at += part.counts[k++]) {
          inputs.push_back(input_of(first_row + k, features));
          gradients.push_back({{d_choices.data() + at, part.counts[k]}, {out[first_row + k], out.cols}, {}, {}, {}, nullptr});
        }
        r.pipeline->backward(inputs, part.history, 0, gradients, scratch[worker]);
      }
    });
    return {d_logits, {}, {}, {}};
  }
};

}  // namespace

RoutedRows route(const Pipeline& pipeline, const at::Tensor& logits, const at::Tensor& features, Pass& pass) {
  auto recorded = c10::make_intrusive<Recorded>();
  recorded->pipeline = &pipeline;
  RoutedRows out;
  out.weight = Route::apply(logits.contiguous(), features.detach().contiguous(), recorded, &pass);
  out.first = recorded->first;
  out.load.assign(static_cast<size_t>(logits.size(1)), 0);
  for (const Chunk& part : recorded->chunks)
    for (const Choice& choice : part.choices) {
      out.expert.push_back(static_cast<int32_t>(choice.expert));
      out.load[choice.expert]++;
    }
  out.slots = std::make_shared<ExpertSlots>(expert_slots(out.first, out.expert, out.load.size()));
  return out;
}

}  // namespace moiety
