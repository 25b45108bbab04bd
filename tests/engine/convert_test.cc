// Every fixture written as GGUF, and back as a Hugging Face directory, computes the same.
#include <gtest/gtest.h>
#include <unistd.h>

#include "model/convert.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

std::vector<float> logits(const std::filesystem::path& path, const std::vector<int32_t>& ids) {
  Session session(load_model(path), exact());
  const uint32_t s = session.add_sequence();
  const Append append{s, ids, WantLogits::all};
  return session.evaluate({&append, 1})[0];
}

class Convert : public testing::TestWithParam<Fixture> {};

TEST_P(Convert, ThereAndBackComputesTheSame) {
  const Fixture& fixture = GetParam();
  const auto folder = std::filesystem::temp_directory_path() / ("moiety-convert-" + std::to_string(::getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::vector<int32_t> ids = fixture.tokens()[0];
  const std::vector<float> reference = fixture.logits(0);

  Checkpoint source = Checkpoint::open(fixture.path);
  convert(source, folder / "model.gguf", {});
  EXPECT_LE(relative_error(logits(folder / "model.gguf", ids), reference), 1e-4);
  EXPECT_LE(relative_error(logits(folder / "model.gguf", ids), logits(fixture.path, ids)), 2e-6);

  Checkpoint gguf = Checkpoint::open(folder / "model.gguf");
  ConvertOptions to_hf;
  to_hf.to_hf = true;
  convert(gguf, folder / "hf", to_hf);
  EXPECT_LE(relative_error(logits(folder / "hf", ids), reference), 1e-4);
  std::filesystem::remove_all(folder);
}

// The same file with llama.cpp's keys alone.
void strip_own_keys(const std::filesystem::path& from, const std::filesystem::path& to) {
  const GgufFile file = GgufFile::open(from);
  Metadata metadata = file.metadata();
  metadata.erase("moiety.config");
  std::vector<GgufPlannedTensor> tensors;
  for (const Tensor& t : file.tensors())
    tensors.push_back({t.name, t.type, t.shape, [&t](std::span<std::byte> out) { std::ranges::copy(t.bytes, out.begin()); }});
  write_gguf(to, metadata, tensors);
}

// Values that llama.cpp's files cannot say: it assumes others, and so does whoever reads its keys.
bool beyond_llama_cpp(const std::string& name) {
  for (const char* piece : {"sliding", "window", "gemma3", "gpt_oss-clamp", "llama-dynamic", "llama4", "longcat", "longrope",
                            "cohere2_moe-plain", "halves", "unshared"})
    if (name.find(piece) != std::string::npos) return true;
  return false;
}

TEST_P(Convert, KeysOfLlamaCppAreEnough) {
  const Fixture& fixture = GetParam();
  if (beyond_llama_cpp(fixture.name())) return;
  const auto folder = std::filesystem::temp_directory_path() / ("moiety-keys-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  Checkpoint source = Checkpoint::open(fixture.path);
  convert(source, folder / "own.gguf", {});
  strip_own_keys(folder / "own.gguf", folder / "plain.gguf");
  EXPECT_LE(relative_error(logits(folder / "plain.gguf", fixture.tokens()[0]), fixture.logits(0)), 1e-4);
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Convert, testing::ValuesIn(all_fixtures()), [](const auto& info) {
  std::string name = info.param.name();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace moiety
