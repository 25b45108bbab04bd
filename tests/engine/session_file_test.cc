// Saved sessions that somebody forged: the checksum is right, what it sums up is not.
#include <gtest/gtest.h>
#include <unistd.h>
#include <xxhash.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

class SavedSession : public testing::TestWithParam<const char*> {};

std::string saved(const std::shared_ptr<const Model>& model) {
  const auto path = std::filesystem::temp_directory_path() / ("moiety-saved-" + std::to_string(::getpid()));
  Session session(model, exact());
  const std::vector<int32_t> ids = {1, 2, 3, 4, 5, 6, 7};
  const uint32_t s = session.add_sequence();
  const Append append{s, ids, WantLogits::none};
  session.evaluate({&append, 1});
  session.save(s, path);
  const std::string out = read_text_file(path);
  std::filesystem::remove(path);
  return out;
}

// Whether a forged file is refused; one that is not must be good for another token.
bool refused(const std::shared_ptr<const Model>& model, std::string file) {
  file.resize(file.size() - 8);
  const uint64_t sum = XXH3_64bits(file.data(), file.size());
  file.append(reinterpret_cast<const char*>(&sum), 8);
  Session session(model, exact());
  try {
    const int32_t id = 5;
    const Append append{session.restore(std::as_bytes(std::span(file)), "forged"), {&id, 1}, WantLogits::last};
    session.evaluate({&append, 1});
  } catch (const Error&) {
    return true;
  }
  return false;
}

TEST_P(SavedSession, ForgedSizesAreRefused) {
  const auto model = load_model(std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures" / GetParam());
  const std::string whole = saved(model);
  EXPECT_FALSE(refused(model, whole));
  // Every 8 bytes that could be a count, made larger, smaller and absurd. Inside the cache they are numbers, and may pass.
  size_t count = 0;
  for (size_t at = 24; at + 16 < whole.size(); at++) {
    uint64_t value;
    std::memcpy(&value, whole.data() + at, 8);
    if (value == 0 || value > 1 << 16) continue;
    for (uint64_t other : {value + 4, value - 1, value * 2, uint64_t{1} << 62}) {
      std::string forged = whole;
      std::memcpy(forged.data() + at, &other, 8);
      count += refused(model, forged);
    }
  }
  EXPECT_GT(count, 20u);
  std::mt19937 rng(3);
  for (int i = 0; i < 200; i++) {
    std::string forged = whole;
    forged[24 + rng() % 200] ^= static_cast<char>(1 << rng() % 8);
    refused(model, forged);
  }
  EXPECT_TRUE(refused(model, whole + "x"));
}

INSTANTIATE_TEST_SUITE_P(Mixers, SavedSession, testing::Values("mixtral", "deepseek_v3", "qwen3_next", "lfm2_moe", "jetmoe"));

}  // namespace
}  // namespace moiety
