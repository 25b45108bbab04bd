// The types that no fixture's narrow rows hold: a mixture with a shared expert whose matrices are random blocks of each.
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "formats/codec.h"
#include "formats/gguf.h"
#include "tests/engine/packed.h"
#include "tests/kernels/random_blocks.h"

namespace moiety {
namespace {

// Blocks whose numbers have a root mean square near 0.06, as trained weights have.
std::vector<std::byte> moderate_blocks(TensorType type, size_t numbers, std::mt19937& random) {
  std::vector<std::byte> bytes = random_blocks(type, numbers, random);
  if (type == TensorType::nvfp4) {
    for (size_t b = 0; b < bytes.size(); b += 36)
      for (size_t s = 0; s < 4; s++) bytes[b + s] = static_cast<std::byte>(8 + random() % 8);
    return bytes;
  }
  std::vector<float> values(numbers);
  decode(type, bytes.data(), values);
  double squares = 0;
  for (float v : values) squares += v * v;
  const int less = static_cast<int>(std::lround(std::log2(std::sqrt(squares / static_cast<double>(numbers)) / 0.06)));
  for (size_t b = 0; b < bytes.size(); b += type_info(type).block_bytes)
    set_scale(type, bytes.data() + b, static_cast<uint16_t>(0x2400 + random() % 1024 - 1024 * less + (random() % 2 << 15)));
  return bytes;
}

// qwen2moe: rows of 256 numbers, but for a query of 160; a vocabulary that 16 does not divide.
void write_model(const std::filesystem::path& path, TensorType type, uint32_t top_k, std::mt19937& random) {
  Metadata keys;
  const std::string at = "qwen2moe.";
  keys.set("general.architecture", std::string("qwen2moe"));
  const std::pair<const char*, uint32_t> numbers[] = {
      {"block_count", 2}, {"context_length", 256}, {"embedding_length", 256}, {"feed_forward_length", 256}, {"vocab_size", 90},
      {"rope.dimension_count", 40}, {"attention.head_count", 4}, {"attention.head_count_kv", 1}, {"attention.key_length", 40},
      {"attention.value_length", 40}, {"expert_count", 6}, {"expert_used_count", top_k}, {"expert_feed_forward_length", 256},
      {"expert_shared_feed_forward_length", 512}};
  for (const auto& [name, value] : numbers) keys.set(at + name, value);
  keys.set(at + "attention.layer_norm_rms_epsilon", 1e-6f);
  keys.set(at + "rope.freq_base", 1e4f);
  std::vector<GgufPlannedTensor> tensors;
  auto add = [&](const std::string& name, TensorType as, std::vector<uint64_t> shape, std::vector<std::byte> bytes) {
    tensors.push_back({name, as, std::move(shape), [bytes = std::move(bytes)](std::span<std::byte> out) { std::ranges::copy(bytes, out.begin()); }});
  };
  auto blocks = [&](const std::string& name, std::vector<uint64_t> shape) {
    size_t count = 1;
    for (uint64_t n : shape) count *= n;
    add(name, type, std::move(shape), moderate_blocks(type, count, random));
  };
  auto floats = [&](const std::string& name, std::vector<uint64_t> shape, float mean, float spread) {
    size_t count = 1;
    for (uint64_t n : shape) count *= n;
    std::vector<float> values(count);
    for (float& v : values) v = std::normal_distribution<float>(mean, spread)(random);
    const auto bytes = std::as_bytes(std::span(values));
    add(name, TensorType::f32, std::move(shape), {bytes.begin(), bytes.end()});
  };
  blocks("token_embd.weight", {90, 256});
  floats("output_norm.weight", {256}, 1, 0.1f);
  blocks("output.weight", {90, 256});
  for (const std::string b : {"blk.0.", "blk.1."}) {
    for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) floats(b + name, {256}, 1, 0.1f);
    blocks(b + "attn_q.weight", {160, 256}), blocks(b + "attn_k.weight", {40, 256}), blocks(b + "attn_v.weight", {40, 256});
    floats(b + "attn_q.bias", {160}, 0, 0.1f), floats(b + "attn_k.bias", {40}, 0, 0.1f), floats(b + "attn_v.bias", {40}, 0, 0.1f);
    floats(b + "attn_output.weight", {256, 160}, 0, 0.06f);
    floats(b + "ffn_gate_inp.weight", {6, 256}, 0, 0.06f);
    blocks(b + "ffn_gate_exps.weight", {6, 256, 256}), blocks(b + "ffn_up_exps.weight", {6, 256, 256}), blocks(b + "ffn_down_exps.weight", {6, 256, 256});
    blocks(b + "ffn_gate_shexp.weight", {512, 256}), blocks(b + "ffn_up_shexp.weight", {512, 256}), blocks(b + "ffn_down_shexp.weight", {256, 512});
    floats(b + "ffn_gate_inp_shexp.weight", {256}, 0, 0.06f);
  }
  write_gguf(path, keys, tensors);
}

class BlockTypes : public testing::TestWithParam<TensorType> {
 protected:
  void SetUp() override {
    for (int32_t& id : ids_) id = static_cast<int32_t>(random_() % 90);
  }
  void TearDown() override { std::filesystem::remove(file_); }

  const unsigned seed_ = std::random_device()();
  const testing::ScopedTrace trace_{__FILE__, __LINE__, testing::Message() << "seed " << seed_};
  std::mt19937 random_{seed_};
  const std::filesystem::path file_ = std::filesystem::temp_directory_path() / ("moiety-blocks-" + std::to_string(::getpid()) + ".gguf");
  std::vector<int32_t> ids_ = std::vector<int32_t>(41);
};

TEST_P(BlockTypes, TheWayChangesNoBit) {
  write_model(file_, GetParam(), 2, random_);
  const auto model = load(file_, true);
  const std::vector<float> fused = run(model, ids_, 1, 512);
  EXPECT_EQ(fused, run(model, ids_, 3, 1)) << "token by token";
  EXPECT_EQ(fused, run(model, ids_, 2, 7)) << "in chunks of 7";
  Watcher watcher;
  EXPECT_EQ(fused, run(model, ids_, 2, 512, &watcher)) << "expert by expert";
  EXPECT_TRUE(std::ranges::all_of(fused, [](float v) { return std::isfinite(v); }));
}

// All experts serve each token, so that no choice can turn: what is left is the rounding of activations to 8 bits.
TEST_P(BlockTypes, LogitsAreNearFloat32) {
  write_model(file_, GetParam(), 6, random_);
  const std::vector<float> mine = run(load(file_, true), ids_, 2, 512), reference = run(load(file_, false), ids_, 2, 512);
  double difference = 0, size = 0;
  for (size_t i = 0; i < mine.size(); i++) difference += std::pow(mine[i] - reference[i], 2), size += std::pow(reference[i], 2);
  EXPECT_GT(difference, 0) << "the integer path was not taken";
  EXPECT_LE(std::sqrt(difference / size), 0.05);
}

INSTANTIATE_TEST_SUITE_P(Types, BlockTypes,
                         testing::Values(TensorType::iq1_s, TensorType::iq1_m, TensorType::iq2_xxs, TensorType::iq2_xs, TensorType::iq2_s, TensorType::iq3_xxs,
                                         TensorType::iq3_s, TensorType::tq1_0, TensorType::tq2_0, TensorType::q1_0, TensorType::q2_0, TensorType::nvfp4,
                                         TensorType::q8_0),
                         [](const auto& info) { return std::string(type_info(info.param).name); });

}  // namespace
}  // namespace moiety
