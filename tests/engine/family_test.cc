// Every family against Transformers: logits, greedy continuation, routing; all at once, in chunks, token by token.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "model/config_defaults.h"
#include "model/family.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

constexpr double bound = 1e-4;

std::vector<float> in_pieces(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& ids, size_t piece) {
  Session session(model, exact());
  const uint32_t s = session.add_sequence();
  session.declare_length(s, static_cast<uint32_t>(ids.size()));
  std::vector<float> out;
  for (size_t at = 0; at < ids.size(); at += piece) {
    const Append append{s, std::span(ids).subspan(at, std::min(piece, ids.size() - at)), WantLogits::all};
    const std::vector<float> logits = session.evaluate({&append, 1})[0];
    out.insert(out.end(), logits.begin(), logits.end());
  }
  return out;
}

class Family : public testing::TestWithParam<Fixture> {};

TEST_P(Family, LogitsAreTransformers) {
  const Fixture& fixture = GetParam();
  const auto model = load_model(fixture.path);
  const auto sequences = fixture.tokens();
  for (size_t i = 0; i < sequences.size(); i++) {
    const std::vector<float> reference = fixture.logits(i);
    for (size_t piece : {sequences[i].size(), size_t{5}, size_t{1}})
      EXPECT_LE(relative_error(in_pieces(model, sequences[i], piece), reference), bound) << "sequence " << i << " in pieces of " << piece;
  }
}

// A checkpoint of the same weights with another config.json, while it lives.
struct Variant {
  Variant(const Fixture& fixture, const nlohmann::json& config) {
    std::filesystem::create_directories(path);
    for (const auto& entry : std::filesystem::directory_iterator(fixture.path))
      if (entry.path().filename().string().find("safetensors") != std::string::npos)
        std::filesystem::create_symlink(entry.path(), path / entry.path().filename());
    std::ofstream(path / "config.json") << config;
  }
  ~Variant() { std::filesystem::remove_all(path); }
  const std::filesystem::path path = std::filesystem::temp_directory_path() / ("moiety-variant-" + std::to_string(::getpid()));
};

TEST_P(Family, BothStylesOfConfigurationMeanTheSame) {
  const Fixture& fixture = GetParam();
  if (!std::filesystem::exists(fixture.path / "config_v5.json")) return;
  const Variant other(fixture, fixture.read("config_v5.json"));
  const auto sequences = fixture.tokens();
  const std::vector<float> mine = in_pieces(load_model(other.path), sequences[0], sequences[0].size());
  EXPECT_EQ(mine, in_pieces(load_model(fixture.path), sequences[0], sequences[0].size()));
}

TEST_P(Family, KeysThatEqualTheDefaultMayBeLeftOut) {
  const Fixture& fixture = GetParam();
  nlohmann::json config = fixture.read("config.json");
  const nlohmann::json& defaults = config_defaults(*find_family(config["model_type"].get<std::string>()));
  for (const auto& [key, value] : defaults.items())
    if (config.contains(key) && config[key] == value) config.erase(key);
  const auto plain = {std::pair<const char*, nlohmann::json>{"attention_bias", false}, {"mlp_bias", false}, {"hidden_act", "silu"},
                      {"use_sliding_window", false}, {"rope_scaling", nullptr}};
  for (const auto& [key, value] : plain)
    if (config.contains(key) && config[key] == value && !defaults.contains(key)) config.erase(key);
  const Variant sparse(fixture, config);
  const auto ids = fixture.tokens()[0];
  EXPECT_LE(relative_error(in_pieces(load_model(sparse.path), ids, ids.size()), fixture.logits(0)), bound);
}

TEST_P(Family, GreedyTokensAreTransformers) {
  const Fixture& fixture = GetParam();
  const nlohmann::json greedy = fixture.read("greedy.json");
  const auto expected = greedy["tokens"].get<std::vector<int32_t>>();
  const auto gaps = greedy["top2_gap"].get<std::vector<double>>();
  Session session(load_model(fixture.path), exact());
  const uint32_t s = session.add_sequence();
  std::vector<int32_t> next = greedy["prompt"].get<std::vector<int32_t>>();
  for (size_t i = 0; i < expected.size(); i++) {
    const Append append{s, next, WantLogits::last};
    const std::vector<float> logits = session.evaluate({&append, 1})[0];
    if (gaps[i] < 1e-3) return;
    next = {static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin())};
    ASSERT_EQ(next[0], expected[i]) << "step " << i;
  }
}

// What every site chose for the rows of one sequence.
struct Recorder : Observer {
  struct SitePlan {
    uint32_t layer;
    bool attention;
    std::vector<std::vector<Choice>> rows;
  };
  std::vector<SitePlan> sites;
  void routed(const Site& site, std::span<const StepRow>, ConstRows, ConstRows, const RoutingPlan& plan) override {
    SitePlan out{site.layer, site.name.ends_with("attn"), {}};
    for (size_t r = 0; r < plan.rows(); r++) out.rows.emplace_back(plan[r].begin(), plan[r].end());
    sites.push_back(std::move(out));
  }
};

TEST_P(Family, RoutingIsTransformers) {
  const Fixture& fixture = GetParam();
  if (!std::filesystem::exists(fixture.path / "routing.json")) return;
  const auto model = load_model(fixture.path);
  Session session(model, exact());
  const uint32_t s = session.add_sequence();
  const auto ids = fixture.tokens()[0];
  Recorder recorder;
  const Append append{s, ids, WantLogits::none};
  session.evaluate({&append, 1}, &recorder);
  const nlohmann::json reference = fixture.read("routing.json")["layers"];
  ASSERT_EQ(recorder.sites.size(), reference.size());
  for (const nlohmann::json& layer : reference) {
    const bool attention = layer["kind"] == "attention";
    const auto site = std::ranges::find_if(recorder.sites, [&](const auto& x) { return x.layer == layer["layer"] && x.attention == attention; });
    ASSERT_NE(site, recorder.sites.end());
    for (size_t t = 0; t < ids.size(); t++) {
      std::map<uint32_t, float> expected, mine;
      for (size_t k = 0; k < layer["experts"][t].size(); k++) expected[layer["experts"][t][k]] = layer["weights"][t][k];
      for (const Choice& choice : site->rows[t]) mine[choice.expert] = choice.weight;
      ASSERT_EQ(mine.size(), expected.size());
      for (const auto& [expert, weight] : expected) {
        ASSERT_TRUE(mine.contains(expert)) << "layer " << layer["layer"] << " token " << t << " expert " << expert;
        EXPECT_NEAR(mine[expert], weight, 1e-4 * std::abs(weight) + 1e-12);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Family, testing::ValuesIn(all_fixtures()), [](const auto& info) {
  std::string name = info.param.name();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace moiety
