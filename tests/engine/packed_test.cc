// Weights in kernel order: near the reference arithmetic, and the same bits for a token whatever is computed beside it, on whichever way.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "model/convert.h"
#include "model/type_mix.h"
#include "tests/engine/packed.h"

namespace moiety {
namespace {

class Packed : public testing::TestWithParam<Fixture> {};

TEST_P(Packed, FloatsComputeTheSame) {
  const auto sequences = GetParam().tokens();
  const auto model = load(GetParam().path, true);
  for (size_t i = 0; i < sequences.size(); i++) {
    const std::vector<float> mine = run(model, sequences[i], 2, 512);
    EXPECT_LE(relative_error(mine, GetParam().logits(i)), 1e-4) << "sequence " << i;
  }
}

TEST_P(Packed, TheWayChangesNoBit) {
  const auto ids = GetParam().tokens()[0];
  const auto model = load(GetParam().path, true);
  const std::vector<float> reference = run(model, ids, 1, 512);
  EXPECT_EQ(reference, run(model, ids, 3, 1)) << "token by token";
  EXPECT_EQ(reference, run(model, ids, 2, 5)) << "in chunks of 5";
  Watcher watcher;
  EXPECT_EQ(reference, run(model, ids, 2, 512, &watcher)) << "expert by expert";
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Packed, testing::ValuesIn(all_fixtures()), [](const auto& info) {
  std::string name = info.param.name();
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

// Quantised weights with activations of 8 bits: the same bits on every way, and nearer to float32 than any mistake would be.
TEST(Quantised, TheWayChangesNoBit) {
  const std::filesystem::path fixtures = std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures";
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("moiety-packed-" + std::to_string(::getpid()) + ".gguf");
  for (const char* name : {"mixtral", "qwen2_moe", "deepseek_v3", "granitemoeshared", "longcat_flash", "gpt_oss"})
    for (const char* type : {"q8_0", "q4_0", "q5_1"}) {
      SCOPED_TRACE(testing::Message() << name << " " << type);
      Checkpoint source = Checkpoint::open(fixtures / name);
      ConvertOptions options;
      options.type = read_type(type, true);
      convert(source, file, options);
      const std::vector<int32_t> ids = Fixture{fixtures / name}.tokens()[0];
      const auto model = load(file, true);
      const std::vector<float> fused = run(model, ids, 1, 512);
      EXPECT_EQ(fused, run(model, ids, 3, 1)) << "token by token";
      EXPECT_EQ(fused, run(model, ids, 2, 7)) << "in chunks of 7";
      Watcher watcher;
      EXPECT_EQ(fused, run(model, ids, 2, 512, &watcher)) << "expert by expert";
      const std::vector<float> exact_sums = run(load(file, false), ids, 2, 512);
      double difference = 0, size = 0;
      for (size_t i = 0; i < fused.size(); i++) difference += std::pow(fused[i] - exact_sums[i], 2), size += std::pow(exact_sums[i], 2);
      EXPECT_LE(std::sqrt(difference / size), 0.15) << "a choice of experts may turn, the sum of all may not";
      EXPECT_FALSE(std::isnan(difference));
    }
  std::filesystem::remove(file);
}

// Two sessions of one model meet experts that neither has used.
TEST(Quantised, ExpertsArePackedAtFirstUseByWhoeverComesFirst) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("moiety-first-use-" + std::to_string(::getpid()) + ".gguf");
  Checkpoint source = Checkpoint::open(std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures/mixtral");
  ConvertOptions options;
  options.type = read_type("q8_0", true);
  convert(source, file, options);
  const std::vector<int32_t> ids = Fixture{std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures/mixtral"}.tokens()[0];
  const std::vector<float> alone = run(load(file, true), ids, 1, 512);
  const auto model = load(file, true);
  std::vector<float> one, other;
  std::thread beside([&] { other = run(model, ids, 2, 3); });
  one = run(model, ids, 2, 5);
  beside.join();
  EXPECT_EQ(one, alone);
  EXPECT_EQ(other, alone);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace moiety
