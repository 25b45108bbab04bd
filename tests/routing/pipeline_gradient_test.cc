// Gradients of whole pipelines against exact derivatives in double; what is recorded on the way; cohorts.
#include <cmath>
#include <functional>

#include "tests/routing/gradient.h"

namespace moiety {
namespace {

// A number and its derivative: what the references below compute with.
struct Dual {
  double value = 0, slope = 0;
};
Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
Dual operator*(Dual a, Dual b) { return {a.value * b.value, a.slope * b.value + a.value * b.slope}; }
Dual operator/(Dual a, Dual b) { return {a.value / b.value, (a.slope - a.value / b.value * b.slope) / b.value}; }
Dual exp(Dual a) { return {std::exp(a.value), std::exp(a.value) * a.slope}; }
Dual sqrt(Dual a) { return {std::sqrt(a.value), a.slope / (2 * std::sqrt(a.value))}; }

using Duals = std::vector<Dual>;
using Ids = std::vector<uint32_t>;

Dual sum(const Duals& x) {
  Dual out;
  for (Dual v : x) out = out + v;
  return out;
}
Duals each(Duals x, const std::function<Dual(Dual)>& f) {
  for (Dual& v : x) v = f(v);
  return x;
}
Duals pick(const Duals& x, const Ids& ids) {
  Duals out;
  for (uint32_t id : ids) out.push_back(x[id]);
  return out;
}
Duals over(const Duals& x, Dual norm) {
  return each(x, [&](Dual v) { return v / norm; });
}
Duals times(const Duals& x, double s) {
  return each(x, [&](Dual v) { return v * Dual{s}; });
}
Duals softmax(Duals x) {
  x = each(x, [](Dual v) { return exp(v); });
  return over(x, sum(x));
}
Duals sigmoid(const Duals& x) {
  return each(x, [](Dual v) { return Dual{1} / (Dual{1} + exp(v * Dual{-1})); });
}
Duals renorm(const Duals& x, double eps = 0) { return over(x, sum(x) + Dual{eps}); }
Duals sparsemixer(const Duals& x, const Ids& chosen, double eps) {
  Duals out(chosen.size());
  std::vector<bool> taken(x.size());
  for (size_t round = 0; round < chosen.size(); round++) {
    size_t best = x.size();
    for (size_t e = 0; e < x.size(); e++)
      if (!taken[e] && (best == x.size() || x[e].value > x[best].value)) best = e;
    Dual total;
    for (size_t e = 0; e < x.size(); e++) {
      const double a = x[best].value, b = x[e].value;
      if (!taken[e] && (a - b) / std::max(std::abs(b), a) <= 2 * eps) total = total + exp(x[e]);
    }
    out.at(static_cast<size_t>(std::ranges::find(chosen, best) - chosen.begin())) = exp(x[best]) / total;
    taken[best] = true;
  }
  return out;
}

// The final weights of those chosen, as functions of the logits.
struct Reference {
  std::string text;
  std::function<Duals(const Duals& logits, const Ids& chosen)> weights;
};

const Reference references[] = {
    {"softmax | top_k(4) | renorm", [](const Duals& x, const Ids& ids) { return renorm(pick(softmax(x), ids)); }},
    {"softmax | top_k(2)", [](const Duals& x, const Ids& ids) { return pick(softmax(x), ids); }},
    {"top_k(4) | softmax", [](const Duals& x, const Ids& ids) { return softmax(pick(x, ids)); }},
    {"top_k(1) | sigmoid", [](const Duals& x, const Ids& ids) { return sigmoid(pick(x, ids)); }},
    {"sigmoid | bias | top_k(3) | renorm | scale(2.5)",
     [](const Duals& x, const Ids& ids) { return times(renorm(pick(sigmoid(x), ids)), 2.5); }},
    {"sigmoid | bias | groups(4, 2) | top_k(3) | renorm(eps=0.01) | scale(2.5)",
     [](const Duals& x, const Ids& ids) { return times(renorm(pick(sigmoid(x), ids), 0.01), 2.5); }},
    {"softmax | groups(4, 2, rank=max) | top_k(3) | scale(4)", [](const Duals& x, const Ids& ids) { return times(pick(softmax(x), ids), 4); }},
    {"sparsemixer(2, 0.2)", [](const Duals& x, const Ids& ids) { return sparsemixer(x, ids, 0.2f); }},
    {"softmax | top_p(0.6)", [](const Duals& x, const Ids& ids) { return pick(softmax(x), ids); }},
    {"softmax | top_p(0.8, max=4) | renorm | keep(2)", [](const Duals& x, const Ids& ids) {
       // What is left of a sum over more than was left: those that top_p took.
       const Duals p = softmax(x);
       Ids order;
       for (uint32_t e = 0; e < experts; e++) order.push_back(e);
       std::ranges::sort(order, [&](uint32_t a, uint32_t b) { return p[a].value > p[b].value; });
       Dual mass;
       for (size_t i = 0; i < 4 && (i == 0 || mass.value < 0.8); i++) mass = mass + p[order[i]];
       return over(pick(p, ids), mass);
     }},
    {"temperature(0.7) | softmax | top_k(3) | renorm(power=2)", [](const Duals& x, const Ids& ids) {
       const Duals p = pick(softmax(each(x, [](Dual v) { return v / Dual{0.7f}; })), ids);
       return over(p, sqrt(sum(each(p, [](Dual v) { return v * v; }))));
     }},
};

TEST(Gradient, OfWholePipelinesIsExact) {
  for (const Reference& reference : references)
    for (uint32_t seed = 1; seed <= 50; seed++) {
      const std::string what = reference.text + ", seed " + std::to_string(seed);
      std::mt19937 rng(seed);
      Numbers x{std::vector<float>(experts), {}, {}, {{"bias", std::vector<float>(experts)}}};
      for (std::span<float> part : x.all()) draw(part, rng);
      Loss loss{std::vector<float>(experts), {}};
      draw(loss.of_expert, rng);
      const Pipeline pipeline = bound(reference.text, x);
      RoutingScratch scratch;
      pipeline.run({}, x.logits, scratch, {});
      Ids chosen;
      for (const Choice& c : scratch.choices) chosen.push_back(c.expert);
      const Numbers d = gradient(pipeline, x, loss);
      for (uint32_t e = 0; e < experts; e++) {
        Duals logits;
        for (float v : x.logits) logits.push_back({v, 0});
        logits[e].slope = 1;
        const Duals weights = reference.weights(logits, chosen);
        double want = 0;
        for (size_t i = 0; i < chosen.size(); i++) {
          EXPECT_LE(std::abs(scratch.choices[i].weight - weights[i].value), 4e-6) << what;
          want += loss.of_expert[chosen[i]] * weights[i].slope;
        }
        EXPECT_LE(std::abs(d.logits[e] - want), 4e-6 * (1 + std::abs(want))) << what << ", expert " << e;
      }
    }
}

TEST(Gradient, DoesNotKnowTheBias) {
  for (uint32_t seed = 1; seed <= 50; seed++) {
    std::mt19937 rng(seed);
    Numbers x{std::vector<float>(experts), {}, {}, {{"bias", std::vector<float>(experts)}}};
    for (std::span<float> part : x.all()) draw(part, rng);
    Loss loss{std::vector<float>(experts), {}};
    draw(loss.of_expert, rng);
    const Pipeline biased = bound("sigmoid | bias | top_k(3) | renorm", x);
    RoutingScratch scratch;
    biased.run({}, x.logits, scratch, {});
    std::string chosen;
    for (const Choice& c : scratch.choices) chosen += (chosen.empty() ? "" : ", ") + std::to_string(c.expert);
    const Pipeline named = bound("sigmoid | only(" + chosen + ") | top_k(3) | renorm", x);
    const Numbers a = gradient(biased, x, loss), b = gradient(named, x, loss);
    for (uint32_t e = 0; e < experts; e++) EXPECT_LE(std::abs(a.logits[e] - b.logits[e]), 1e-6) << "seed " << seed;
    EXPECT_EQ(a.tensors.at("bias"), std::vector<float>(experts));
  }
}

TEST(Recorded, IsWhatRunDoesAndKeepsItsRoom) {
  Numbers x{std::vector<float>(experts), {}, {}, {}};
  std::mt19937 rng(3);
  const Pipeline pipeline = bound("softmax | renorm | top_k(3)", x);
  RoutingScratch plain, recorded;
  RoutingHistory history;
  GradientScratch room;
  const Candidate* at = nullptr;
  for (int pass = 0; pass < 2; pass++) {
    history.clear();
    std::vector<std::vector<float>> d_logits(20, std::vector<float>(experts));
    std::vector<std::vector<Choice>> d_choices(20);
    std::vector<RowGradient> rows(20);
    std::vector<Numbers> alone;
    for (size_t r = 0; r < 20; r++) {
      draw(x.logits, rng);
      Loss loss{std::vector<float>(experts), {}};
      draw(loss.of_expert, rng);
      pipeline.run({}, x.logits, plain, {});
      pipeline.run_recorded({}, x.logits, recorded, history);
      ASSERT_EQ(recorded.choices.size(), 3u);
      for (size_t i = 0; i < 3; i++) {
        EXPECT_EQ(recorded.choices[i].expert, plain.choices[i].expert);
        EXPECT_EQ(recorded.choices[i].weight, plain.choices[i].weight);
      }
      EXPECT_EQ(history.before(r, 0).size(), experts);
      EXPECT_EQ(history.before(r, 1).size(), experts);
      EXPECT_EQ(history.before(r, 2).size(), experts);
      EXPECT_EQ(history.before(r, 3).size(), 3u);
      for (uint32_t e = 0; e < experts; e++) d_choices[r].push_back({e, loss.of_expert[e]});  // also of those not chosen
      rows[r].d_choices = d_choices[r], rows[r].d_logits = d_logits[r];
      alone.push_back(gradient(pipeline, x, loss));
    }
    ASSERT_EQ(history.rows(), 20u);
    const std::vector<RoutingInput> inputs(20);
    pipeline.backward(std::span(inputs).first(7), history, 0, std::span(rows).first(7), room);
    pipeline.backward(std::span(inputs).subspan(7), history, 7, std::span(rows).subspan(7), room);
    for (size_t r = 0; r < 20; r++) EXPECT_EQ(d_logits[r], alone[r].logits) << r;
    EXPECT_TRUE(pass == 0 || history.before(0, 0).data() == at) << "the second pass moved to another place";
    at = history.before(0, 0).data();
  }
}

// Less the mean over the rows.
struct Centre : CohortStage {
  void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>> rows) const override {
    std::vector<float> mean(experts);
    for (const auto& row : rows)
      for (const Candidate& c : row) mean[c.expert] += c.weigh / static_cast<float>(rows.size());
    for (auto& row : rows)
      for (Candidate& c : row) c.weigh -= mean[c.expert];
  }
  void backward(std::span<const RoutingInput>, std::span<const StageGradient> rows) const override {
    std::vector<float> mean(experts);
    for (const StageGradient& g : rows)
      for (const Candidate& c : g.out) mean[c.expert] += g.d_out[c.expert] / static_cast<float>(rows.size());
    for (const StageGradient& g : rows)
      for (const Candidate& c : g.in) g.d_in[c.expert] = g.d_out[c.expert] - mean[c.expert];
  }
};

// Row r does without expert r.
struct Thin : CohortStage {
  void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>> rows) const override {
    for (uint32_t r = 0; r < rows.size(); r++) std::erase_if(rows[r], [&](const Candidate& c) { return c.expert == r; });
  }
};

TEST(Gradient, OfACohortMayCrossItsRows) {
  constexpr size_t n = 3;
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"centre", std::make_unique<Centre>()});
  entries.push_back({"thin", std::make_unique<Thin>()});
  const Pipeline pipeline(std::move(entries), 0, experts);
  std::mt19937 rng(5);
  std::vector<float> logits(n * experts), d(n * experts), d_logits(n * experts);
  draw(logits, rng), draw(d, rng);
  const std::vector<RoutingInput> inputs(n);
  RoutingPlan plain, plan;
  RoutingHistory history;
  pipeline.run_cohort(inputs, logits, plain);
  pipeline.run_cohort_recorded(inputs, logits, plan, history);
  std::vector<std::vector<Choice>> d_choices(n);
  std::vector<RowGradient> rows(n);
  for (size_t r = 0; r < n; r++) {
    ASSERT_EQ(plan[r].size(), experts - 1);
    for (size_t i = 0; i < plan[r].size(); i++) {
      EXPECT_EQ(plan[r][i].expert, plain[r][i].expert);
      d_choices[r].push_back({plan[r][i].expert, d[r * experts + plan[r][i].expert]});
    }
    rows[r].d_choices = d_choices[r], rows[r].d_logits = std::span(d_logits).subspan(r * experts, experts);
  }
  GradientScratch room;
  pipeline.backward(inputs, history, 0, rows, room);
  for (uint32_t e = 0; e < experts; e++) {
    auto passed = [&](size_t r) { return r == e ? 0 : double(d[r * experts + e]); };
    const double mean = (passed(0) + passed(1) + passed(2)) / n;
    for (size_t r = 0; r < n; r++) EXPECT_LE(std::abs(d_logits[r * experts + e] - (passed(r) - mean)), 1e-6);
  }
}

}  // namespace
}  // namespace moiety
