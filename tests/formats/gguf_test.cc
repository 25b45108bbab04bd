// GGUF: what is written is read again; what is damaged is refused, never believed.
#include "formats/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf_parse.h"
#include "formats/safetensors.h"

namespace moiety {
namespace {

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("moiety-formats-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

std::string sample(const Folder& folder) {
  Metadata m;
  m.set("general.architecture", std::string("llama"));
  m.set("a.count", uint32_t{7});
  m.set("a.real", 0.5f);
  m.set("a.flag", true);
  m.set("a.texts", MetaArray{8, std::vector<std::string>{"x", "yz", ""}});
  m.set("a.numbers", MetaArray{5, std::vector<int64_t>{-1, 2}});
  const auto fill = [](std::span<std::byte> out) {
    for (size_t i = 0; i < out.size(); i++) out[i] = static_cast<std::byte>(i);
  };
  const std::vector<GgufPlannedTensor> tensors = {{"w", TensorType::q8_0, {2, 64}, fill}, {"v", TensorType::f32, {5}, fill}};
  write_gguf(folder.path / "a.gguf", m, tensors);
  return read_text_file(folder.path / "a.gguf");
}

std::span<const std::byte> bytes(const std::string& s) { return std::as_bytes(std::span(s)); }

TEST(Gguf, RoundTrip) {
  const Folder folder;
  sample(folder);
  const GgufFile file = GgufFile::open(folder.path / "a.gguf");
  const Metadata& m = file.metadata();
  EXPECT_EQ(m.string("general.architecture"), "llama");
  EXPECT_EQ(m.integer("a.count"), 7);
  EXPECT_EQ(m.number("a.real"), 0.5);
  EXPECT_EQ(m.boolean("a.flag"), true);
  EXPECT_EQ(*m.strings("a.texts"), (std::vector<std::string>{"x", "yz", ""}));
  EXPECT_EQ(m.integers("a.numbers"), (std::vector<int64_t>{-1, 2}));
  EXPECT_FALSE(m.integer("missing"));
  EXPECT_THROW(m.integer("a.real"), Error);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.find("w")->shape, (std::vector<uint64_t>{2, 64}));
  EXPECT_EQ(file.find("w")->bytes.size(), 2u * 68);
  EXPECT_EQ(file.find("v")->bytes[3], std::byte{3});
}

TEST(Gguf, DamageIsRefusedOrHarmless) {
  const Folder folder;
  const std::string whole = sample(folder);
  // The last tensor is followed by 12 bytes of padding.
  for (size_t size = 0; size + 12 < whole.size(); size++) EXPECT_THROW(parse_gguf(bytes(whole.substr(0, size)), "cut"), Error) << size;
  std::mt19937 rng(42);
  size_t refused = 0;
  for (int i = 0; i < 20000; i++) {
    std::string damaged = whole;
    for (unsigned k = 0; k <= rng() % 3; k++) damaged[rng() % damaged.size()] ^= static_cast<char>(1 << rng() % 8);
    try {
      for (const Tensor& t : parse_gguf(bytes(damaged), "damaged").tensors) EXPECT_LE(t.bytes.size(), damaged.size());
    } catch (const Error&) {
      refused++;
    }
  }
  EXPECT_GT(refused, 1000u);
}

TEST(Gguf, SaysWhatIsWrong) {
  const Folder folder;
  std::string whole = sample(folder);
  const auto message = [&](const std::string& file) {
    try {
      parse_gguf(bytes(file), "x.gguf");
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_NE(message("JUNK" + whole.substr(4)).find("not a GGUF file"), std::string::npos);
  std::string big = whole;
  std::swap(big[4], big[7]);
  EXPECT_NE(message(big).find("big-endian"), std::string::npos);
  EXPECT_NE(message(whole.substr(0, whole.size() - 64)).find("past the end of the file"), std::string::npos);
}

TEST(Gguf, OverlappingTensorsAndOddAlignmentsAreRefused) {
  const Folder folder;
  const std::string whole = sample(folder);
  std::string overlapping = whole;
  for (size_t at = whole.size() - 200; at-- > 24;) {  // v's description: name, 1 axis of 5, type 0, offset 160
    const std::string described("\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\xa0", 17);
    if (whole.compare(at, described.size(), described) == 0) overlapping[at + 16] = 32;
  }
  ASSERT_NE(overlapping, whole);
  EXPECT_THROW(parse_gguf(bytes(overlapping), "x"), Error);
  for (uint32_t alignment : {0u, 1u, 4u, 24u, 1u << 30}) {
    Metadata m;
    m.set("general.alignment", uint32_t{32});
    write_gguf(folder.path / "b.gguf", m, {});
    std::string file = read_text_file(folder.path / "b.gguf");
    std::memcpy(file.data() + 24 + 8 + 17 + 4, &alignment, 4);
    EXPECT_THROW(parse_gguf(bytes(file), "x"), Error) << alignment;
  }
}

TEST(Safetensors, RoundTripAndDamage) {
  const Folder folder;
  const auto fill = [](std::span<std::byte> out) { std::ranges::fill(out, std::byte{7}); };
  const std::vector<SafetensorsPlanned> tensors = {{"a", TensorType::bf16, {3, 2}, fill}, {"b.c", TensorType::f32, {}, fill}};
  write_safetensors(folder.path, tensors);
  const std::string whole = read_text_file(folder.path / "model.safetensors");
  const auto read = parse_safetensors(bytes(whole), "m");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].shape, (std::vector<uint64_t>{3, 2}));
  for (size_t size = 0; size < whole.size(); size++) EXPECT_THROW(parse_safetensors(bytes(whole.substr(0, size)), "cut"), Error) << size;
  std::mt19937 rng(7);
  for (int i = 0; i < 20000; i++) {
    std::string damaged = whole;
    damaged[rng() % damaged.size()] ^= static_cast<char>(1 << rng() % 8);
    try {
      for (const Tensor& t : parse_safetensors(bytes(damaged), "damaged")) EXPECT_LE(t.bytes.size(), damaged.size());
    } catch (const Error&) {
    }
  }
}

TEST(Safetensors, DoubledAndOverlappingTensorsAreRefused) {
  const auto file = [](const std::string& header) {
    const uint64_t n = header.size();
    return std::string(reinterpret_cast<const char*>(&n), 8) + header + std::string(8, '\0');
  };
  EXPECT_THROW(parse_safetensors(bytes(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})")), "x"), Error);
  EXPECT_THROW(parse_safetensors(bytes(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})")), "x"), Error);
  EXPECT_THROW(parse_safetensors(bytes(file(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})")), "x"), Error);
  EXPECT_THROW(parse_safetensors(bytes(file(R"({"a":{"dtype":"Q9","shape":[2],"data_offsets":[0,8]}})")), "x"), Error);
}

TEST(AtomicFile, LeavesTheOldFileUntilTheEnd) {
  const Folder folder;
  const auto path = folder.path / "file";
  {
    AtomicFile out(path);
    out.write("first");
    out.commit();
  }
  {
    AtomicFile out(path);
    out.write("second, never finished");
  }
  EXPECT_EQ(read_text_file(path), "first");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path), {}), 1);
}

}  // namespace
}  // namespace moiety
