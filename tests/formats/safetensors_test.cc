// Shards with an index, as a Hugging Face directory has them, and one file where all fits.
#include "formats/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "base/file.h"
#include "formats/hf_directory.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

TEST(Safetensors, ShardsAndTheirIndex) {
  const fs::path folder = fs::temp_directory_path() / ("moiety-shards-" + std::to_string(::getpid()));
  fs::remove_all(folder);
  std::mt19937 random(11);
  for (const auto& [shard_bytes, files] : {std::pair<uint64_t, size_t>{1000, 5}, {1700, 3}, {1 << 20, 1}}) {
    SCOPED_TRACE(shard_bytes);
    fs::create_directories(folder);
    std::ofstream(folder / "config.json") << "{}";
    std::vector<std::vector<float>> values;
    std::vector<SafetensorsPlanned> planned;
    for (size_t i = 0; i < 5; i++) {
      auto& numbers = values.emplace_back(200 + i);
      for (float& v : numbers) v = std::normal_distribution<float>()(random);
    }
    for (size_t i = 0; i < values.size(); i++)
      planned.push_back({"tensor." + std::to_string(i), TensorType::f32, {values[i].size(), 1},
                         [&values, i](std::span<std::byte> out) { std::memcpy(out.data(), values[i].data(), out.size()); }});
    write_safetensors(folder, planned, shard_bytes);

    size_t shards = 0;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().extension() == ".safetensors") {
        shards++;
        EXPECT_LE(entry.file_size(), shard_bytes + 1000);  // and a header
      }
    EXPECT_EQ(shards, files);
    EXPECT_EQ(fs::exists(folder / "model.safetensors.index.json"), files > 1);
    if (files > 1) {
      const auto index = nlohmann::json::parse(read_text_file(folder / "model.safetensors.index.json"));
      EXPECT_EQ(index["metadata"]["total_size"], (200 + 201 + 202 + 203 + 204) * 4);
      EXPECT_EQ(index["weight_map"].size(), 5u);
    }
    const HfDirectory directory = HfDirectory::open(folder);
    ASSERT_EQ(directory.tensors().size(), values.size());
    for (size_t i = 0; i < values.size(); i++) {
      const Tensor* tensor = directory.find("tensor." + std::to_string(i));
      ASSERT_TRUE(tensor);
      ASSERT_EQ(tensor->bytes.size(), values[i].size() * 4);
      EXPECT_EQ(std::memcmp(tensor->bytes.data(), values[i].data(), tensor->bytes.size()), 0);
    }
    fs::remove_all(folder);
  }
}

}  // namespace
}  // namespace moiety
