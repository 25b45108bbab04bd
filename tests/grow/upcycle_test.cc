// Copies of an FFN behind any router compute what the FFN computes; noise changes it a little; what cannot be said is refused.
#include "grow/upcycle.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/codec.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

std::filesystem::path fixture(const std::string& name) { return std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures" / name; }

std::vector<float> logits(const std::filesystem::path& path) {
  const std::vector<int32_t> ids = {5, 17, 3, 88, 41, 9, 60, 2, 77, 30, 12, 95, 1};
  Session session(load_model(path), exact());
  const Append append{session.add_sequence(), ids, WantLogits::all};
  return session.evaluate({&append, 1})[0];
}

class Upcycle : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::filesystem::path make(const std::filesystem::path& dense, const std::string& name, UpcycleOptions options, ConvertOptions convert = {}) {
    Checkpoint in = Checkpoint::open(dense);
    convert.to_hf = !name.ends_with(".gguf");
    upcycle(in, folder / name, options, convert);
    return folder / name;
  }
  std::filesystem::path folder = std::filesystem::temp_directory_path() / ("moiety-upcycle-" + std::to_string(::getpid()));
};

TEST_F(Upcycle, CopiesComputeTheDenseModel) {
  for (const char* name : {"llama", "llama-llama3", "llama-yarn", "mistral-sliding", "qwen2", "qwen3", "olmo2"})
    for (const char* out : {"moe", "moe.gguf"}) {
      SCOPED_TRACE(std::string(name) + " to " + out);
      const bool all = std::string_view(name) == "qwen2" && std::string_view(out) == "moe.gguf";
      const auto path = make(fixture(name), out, {.experts = 5, .top_k = all ? 5u : 3u, .seed = 7});
      EXPECT_LE(relative_error(logits(path), logits(fixture(name))), 1e-5);
      const auto model = load_model(path);
      EXPECT_EQ(model->sites.size(), model->blocks.size());
      for (const Site* site : model->sites) EXPECT_EQ(site->config->ids(), 5u);
      std::filesystem::remove_all(path);
    }
}

TEST_F(Upcycle, QuantisedExpertsKeepTheirType) {
  ConvertOptions small;
  small.type = read_type("q4_1", true);
  Checkpoint in = Checkpoint::open(fixture("llama"));
  convert(in, folder / "dense.gguf", small);
  const auto path = make(folder / "dense.gguf", "moe.gguf", {.experts = 4, .top_k = 2});
  EXPECT_LE(relative_error(logits(path), logits(folder / "dense.gguf")), 1e-5);
  size_t experts = 0;
  const Checkpoint moe = Checkpoint::open(path);
  for (const Tensor& t : moe.tensors())
    if (t.name.ends_with("ffn_gate_exps.weight")) {
      experts++;
      EXPECT_EQ(t.type, TensorType::q4_1) << t.name;
    }
  EXPECT_EQ(experts, load_model(path)->blocks.size());
}

TEST_F(Upcycle, NoiseIsSmallAndComesFromTheSeed) {
  const std::vector<float> dense = logits(fixture("llama"));
  auto noisy = [&](double noise, uint64_t seed) {
    const auto path = make(fixture("llama"), "noisy.gguf", {.experts = 4, .top_k = 2, .noise = noise, .seed = seed});
    const std::vector<float> out = logits(path);
    std::filesystem::remove(path);
    return out;
  };
  const std::vector<float> one = noisy(0.02, 1);
  EXPECT_EQ(noisy(0.02, 1), one);
  EXPECT_NE(noisy(0.02, 2), one);
  EXPECT_GT(relative_error(one, dense), 1e-4);
  EXPECT_LT(relative_error(one, dense), 0.1);
  EXPECT_GT(relative_error(noisy(0.2, 1), dense), relative_error(one, dense));
}

// The router is the same on every machine: numbers worked out once, in Python, from the definition.
TEST_F(Upcycle, TheRouterIsPortable) {
  const auto path = make(fixture("llama"), "moe.gguf", {.experts = 4, .top_k = 2, .seed = 3});
  const auto model = load_model(path);
  const Matrix& router = model->sites[1]->router.weight;
  std::vector<float> row(router.cols);
  decode(router.type, router.row(2), row);
  const float expected[] = {-0.0854463f, -0.0851296f, -0.2202593f, 0.0994031f};
  for (size_t i = 0; i < std::size(expected); i++) EXPECT_NEAR(row[i], expected[i], 1e-6);
}

TEST_F(Upcycle, RefusesWhatItCannotSay) {
  EXPECT_THROW(make(fixture("llama"), "x.gguf", {.experts = 2, .top_k = 3}), UsageError);
  EXPECT_THROW(make(fixture("llama"), "x.gguf", {.experts = 0, .top_k = 0}), UsageError);
  const std::pair<const char*, const char*> wrong[] = {{"mixtral", "already"}, {"gemma3-text", "no mixture family"}, {"llama-odd", "biases of the attention"}, {"qwen2", "renormalise"}};
  for (const auto& [name, reason] : wrong) {
    try {
      make(fixture(name), "x.gguf", {.experts = 4, .top_k = 2});
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "nothing half-written";
}

}  // namespace
}  // namespace moiety
