// Every stage's gradient against central differences of its own forward.
#include <cmath>
#include <functional>
#include <optional>

#include "tests/routing/gradient.h"

namespace moiety {
namespace {

// d loss / d number by central differences; nothing where the loss jumps or has a corner nearby, which steps of two sizes show.
std::optional<double> difference(const std::function<double()>& loss, float& number, double tolerance) {
  const float at = number;
  auto slope = [&](float from, float to) {
    number = to;
    const double high = loss();
    number = from;
    const double low = loss();
    number = at;
    return (high - low) / (double(to) - double(from));
  };
  constexpr float h = 1.0f / 128;
  const double wide = slope(at - h, at + h), narrow = slope(at - h / 2, at + h / 2), left = slope(at - h, at), right = slope(at, at + h);
  if (!(std::abs(wide - narrow) < tolerance / 4) || !(std::abs(left - right) < 0.1 * (1 + std::abs(wide)))) return std::nullopt;
  return narrow;
}

// False where this point is too near to a tie.
bool agrees(const Pipeline& pipeline, Numbers& x, const Loss& loss, const std::string& what) {
  Numbers d = gradient(pipeline, x, loss);
  double largest = 0;
  for (std::span<float> part : d.all())
    for (float v : part) largest = std::max(largest, std::abs(double(v)));
  EXPECT_TRUE(std::isfinite(largest)) << what;
  const double tolerance = 5e-3 * largest + 4e-4;
  const auto numbers = x.all(), gradients = d.all();
  std::vector<std::pair<double, double>> pairs;
  for (size_t part = 0; part < numbers.size(); part++)
    for (size_t i = 0; i < numbers[part].size(); i++) {
      const auto want = difference([&] { return loss(pipeline, x); }, numbers[part][i], tolerance);
      if (!want) return false;
      pairs.emplace_back(gradients[part][i], *want);
    }
  for (const auto& [got, want] : pairs) EXPECT_LE(std::abs(got - want), tolerance) << what << ": " << got << " instead of " << want;
  return true;
}

void check(const std::function<Pipeline(Numbers&)>& build, const std::string& what) {
  constexpr int wanted = 20, tries = 400;
  int done = 0;
  for (int seed = 1; seed <= tries && done < wanted; seed++) {
    std::mt19937 rng(static_cast<uint32_t>(seed));
    Numbers x{std::vector<float>(experts), std::vector<float>(5), {}, {{"bias", std::vector<float>(experts)}, {"mix", std::vector<float>(experts * 5)}}};
    const Pipeline pipeline = build(x);
    x.carry.resize(pipeline.carry_size());
    for (std::span<float> part : x.all()) draw(part, rng);
    Loss loss{std::vector<float>(pipeline.experts()), std::vector<float>(pipeline.carry_size())};
    draw(loss.of_expert, rng), draw(loss.of_carry, rng);
    done += agrees(pipeline, x, loss, what + ", seed " + std::to_string(seed));
  }
  EXPECT_EQ(done, wanted) << what << ": too few points that are not near a tie";
}

TEST(Gradient, OfEveryStageIsThatOfItsForward) {
  // Every registered stage has its examples here.
  const std::map<std::string_view, std::vector<std::string>> examples = {
      {"linear", {"linear"}},
      {"hash", {"hash", "hash(previous)"}},
      {"softmax", {"softmax"}},
      {"sigmoid", {"sigmoid"}},
      {"temperature", {"temperature(0.7)"}},
      {"bias", {"bias"}},
      {"groups", {"groups(4, 2)", "groups(2, 1, rank=max)"}},
      {"top_k", {"top_k(3)"}},
      {"top_p", {"top_p(0.6)", "top_p(0.9, max=3)"}},
      {"min_p", {"min_p(0.3)"}},
      {"threshold", {"threshold(0.2)"}},
      {"rank", {"rank(2)"}},
      {"sparsemixer", {"sparsemixer(2, 0.2)", "sparsemixer(3, 0.5)"}},
      {"keep", {"keep(3)"}},
      {"drop", {"drop(0-2)"}},
      {"only", {"only(1, 4-6)"}},
      {"boost", {"boost(0-3, by=2)"}},
      {"renorm", {"renorm", "renorm(eps=0.5)", "renorm(min=4)", "renorm(power=2)", "renorm(eps=0.1, power=3)", "renorm(min=2.5, power=2)"}},
      {"scale", {"scale(-2.5)"}},
      {"noise", {"noise(0.5)"}},
      {"random", {"random", "random(9)"}},
      {"capacity", {"capacity(1)", "capacity(0.1)"}},
  };
  for (const StageInfo& info : stages()) {
    const auto found = examples.find(info.name);
    ASSERT_NE(found, examples.end()) << "stage " << info.name << " has no example here: its gradient is not checked";
    for (const std::string& call : found->second) {
      ASSERT_TRUE(call.starts_with(info.name));
      // A selection of everything makes any stage a legal pipeline; one before it leaves fewer candidates, in another order.
      for (const std::string before : {"", "top_k(6) | "}) {
        if (info.is_source && !before.empty()) continue;
        const std::string text = before + call + " | threshold(-1e30)";
        check([&](Numbers& x) { return bound(text, x); }, text);
      }
    }
  }
}

// A source with a tensor of its own, and a stage after it; both keep a carry.
struct Residual : SourceStage {
  explicit Residual(std::span<const float> mix) : mix(mix) {}
  size_t carry_size() const override { return experts; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float> carry_out) const override {
    for (uint32_t e = 0; e < experts; e++) {
      float score = in.carry[e] / 2;
      for (size_t i = 0; i < in.features.size(); i++) score += mix[e * in.features.size() + i] * in.features[i];
      candidates.push_back({e, score, score});
      carry_out[e] = score;
    }
  }
  void backward(const RoutingInput& in, const StageGradient& g) const override {
    const std::span<float> d_mix = g.tensors->find("mix");
    for (uint32_t e = 0; e < experts; e++) {
      const float d = g.d_out[e] + g.d_carry_out[e];
      g.d_carry_in[e] += d / 2;
      for (size_t i = 0; i < in.features.size(); i++) {
        g.d_features[i] += d * mix[e * in.features.size() + i];
        d_mix[e * in.features.size() + i] += d * in.features[i];
      }
    }
  }
  std::span<const float> mix;
};

struct Fade : RowStage {
  size_t carry_size() const override { return 1; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float> carry_out) const override {
    for (Candidate& c : candidates) c.weigh *= in.carry[0];
    carry_out[0] = 3 * in.carry[0];
  }
  void backward(const RoutingInput& in, const StageGradient& g) const override {
    g.d_carry_in[0] += 3 * g.d_carry_out[0];
    for (const Candidate& c : g.in) {
      g.d_in[c.expert] = g.d_out[c.expert] * in.carry[0];
      g.d_carry_in[0] += g.d_out[c.expert] * c.weigh;
    }
  }
};

TEST(Gradient, ReachesFeaturesCarryAndTensors) {
  check(
      [](Numbers& x) {
        x.logits.clear();
        std::vector<Pipeline::Entry> entries;
        entries.push_back({"residual", std::make_unique<Residual>(x.tensors.find("mix")->second)});
        entries.push_back({"fade", std::make_unique<Fade>()});
        return Pipeline(std::move(entries), 0, experts);
      },
      "residual | fade");
}

}  // namespace
}  // namespace moiety
