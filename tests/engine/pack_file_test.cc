// A packed file computes the bits of the model that it was packed from; a damaged one is refused by name.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "formats/gguf.h"
#include "model/convert.h"
#include "model/pack_file.h"
#include "model/type_mix.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

class PackFile : public testing::Test {
 protected:
  PackFile() { fs::create_directory(folder_); }
  ~PackFile() override { fs::remove_all(folder_); }

  static fs::path fixture(const char* name) { return fs::path(MOIETY_SOURCE_DIR) / "tests/fixtures" / name; }
  fs::path packed(const fs::path& source) {
    const Checkpoint in = Checkpoint::open(source);
    PackOptions options;
    options.threads = 2;
    options.edit_metadata = [](Metadata& m) { m.set("test.key", std::string("is kept")); };
    pack_file(in, folder_ / "packed.gguf", options);
    return folder_ / "packed.gguf";
  }

  static std::vector<float> logits(const fs::path& path, const std::vector<int32_t>& ids, bool check = false) {
    LoadOptions load;
    load.pack = true, load.check = check;
    SessionOptions options = exact();
    Session session(load_model(path, load), options);
    const Append append{session.add_sequence(), ids, WantLogits::all};
    return session.evaluate({&append, 1}, nullptr)[0];
  }

  // The error of a packed file whose header, or whose tensors, were changed after it was written.
  std::string refusal(const std::function<void(Metadata&, std::vector<Tensor>&)>& damage) {
    const GgufFile file = GgufFile::open(folder_ / "packed.gguf");
    Metadata metadata = file.metadata();
    std::vector<Tensor> tensors = file.tensors();
    damage(metadata, tensors);
    std::vector<GgufPlannedTensor> planned;
    for (const Tensor& t : tensors)
      planned.push_back({t.name, t.type, t.shape, [t](std::span<std::byte> out) { std::copy_n(t.bytes.begin(), out.size(), out.begin()); }});
    write_gguf(folder_ / "damaged.gguf", metadata, planned);
    LoadOptions load;
    load.pack = true;
    try {
      load_model(folder_ / "damaged.gguf", load);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  const fs::path folder_ = fs::temp_directory_path() / ("moiety-pack-" + std::to_string(::getpid()));
};

TEST_F(PackFile, SameBitsFromDirectories) {
  for (const Fixture& f : all_fixtures()) {
    if (f.path.parent_path().parent_path().filename() != "tests") continue;
    SCOPED_TRACE(f.name());
    const auto ids = f.tokens()[0];
    EXPECT_EQ(logits(f.path, ids), logits(packed(f.path), ids, true));
  }
}

TEST_F(PackFile, SameBitsFromQuantisedFiles) {
  for (const char* name : {"mixtral", "qwen2_moe", "deepseek_v3", "gpt_oss", "jetmoe", "qwen3_next", "llama-llama3", "phimoe-longrope", "llama"})
    for (const char* type : {"q8_0", "q4_0", "q5_1", "q4_k_m", "q6_k", "mxfp4_moe"}) {
      SCOPED_TRACE(testing::Message() << name << " " << type);
      Checkpoint source = Checkpoint::open(fixture(name));
      ConvertOptions options;
      options.type = read_type(type, false);
      convert(source, folder_ / "plain.gguf", options);
      const std::vector<int32_t> ids = Fixture{fixture(name)}.tokens()[0];
      EXPECT_EQ(logits(folder_ / "plain.gguf", ids), logits(packed(folder_ / "plain.gguf"), ids, true));
    }
}

TEST_F(PackFile, ExpertsAreAlignedRecords) {
  const GgufFile file = GgufFile::open(packed(fixture("gpt_oss")));
  EXPECT_EQ(file.metadata().string("test.key"), "is kept");
  const Tensor* first = file.find("blk.0.ffn.expert.0");
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(file.find("blk.0.ffn_gate_exps.weight"), nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first->bytes.data()) % packed_record_alignment, 0u) << "mapped at a page, so aligned in the file too";
  const auto index = PackedIndex::read(file);
  ASSERT_TRUE(index);
  for (const Tensor& t : index->tensors()) EXPECT_EQ(reinterpret_cast<uintptr_t>(t.bytes.data()) % packed_part_alignment, 0u) << t.name;
}

TEST_F(PackFile, SessionsGoOnWithEither) {
  LoadOptions load;
  load.pack = true;
  EXPECT_EQ(load_model(fixture("mixtral"), load)->fingerprint, load_model(packed(fixture("mixtral")), load)->fingerprint);
}

TEST_F(PackFile, WhatNeedsRowsIsRefused) {
  const fs::path file = packed(fixture("mixtral"));
  EXPECT_THROW(load_model(file), UsageError);
  Checkpoint in = Checkpoint::open(file);
  EXPECT_THROW(convert(in, folder_ / "again.gguf", {}), UsageError);
  EXPECT_THROW(pack_file(in, folder_ / "again.gguf", {}), UsageError);
  EXPECT_FALSE(fs::exists(folder_ / "again.gguf"));
}

TEST_F(PackFile, AWrongChecksumIsNamed) {
  const fs::path path = packed(fixture("mixtral"));
  uint64_t at;
  {
    const MappedFile map(path);
    const GgufFile file = GgufFile::parse(map.bytes(), path.string());
    at = static_cast<uint64_t>(file.find("blk.1.ffn.expert.2")->bytes.data() - map.bytes().data());
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char other = static_cast<char>(file.get() ^ 1);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(other);
  file.close();
  const std::vector<int32_t> ids = {1, 2, 3};
  EXPECT_NO_THROW(logits(path, ids));
  try {
    logits(path, ids, true);
    FAIL() << "the damage was not seen";
  } catch (const Error& e) {
    const std::string said = e.what();
    for (const char* part : {"packed.gguf", "tensor blk.1.ffn.expert.2", "part blk.1.ffn_gate_exps.weight:2", "checksum"})
      EXPECT_NE(said.find(part), std::string::npos) << said;
  }
}

TEST_F(PackFile, DamageIsRefused) {
  packed(fixture("mixtral"));
  auto number = [](const char* list, size_t i, uint64_t value) {
    return [=](Metadata& m, std::vector<Tensor>&) {
      MetaArray array = std::get<MetaArray>(*m.find(std::string("moiety.pack.") + list));
      std::get<std::vector<uint64_t>>(array.values).at(i) = value;
      m.set(std::string("moiety.pack.") + list, array);
    };
  };
  EXPECT_EQ(refusal([](Metadata&, std::vector<Tensor>&) {}), "");
  EXPECT_NE(refusal(number("offsets", 5, uint64_t{1} << 40)).find("outside its tensor"), std::string::npos);
  EXPECT_NE(refusal(number("offsets", 5, UINT64_MAX - 63)).find("outside its tensor"), std::string::npos);
  EXPECT_NE(refusal(number("offsets", 5, 32)).find("outside its tensor"), std::string::npos);
  EXPECT_NE(refusal(number("bytes", 5, 64)).find("takes"), std::string::npos);
  EXPECT_NE(refusal(number("rows", 5, uint64_t{1} << 31)).find("takes"), std::string::npos);
  EXPECT_NE(refusal(number("rows", 5, UINT64_MAX)).find("shape"), std::string::npos);
  EXPECT_NE(refusal(number("cols", 5, 0)).find("shape"), std::string::npos);
  EXPECT_NE(refusal(number("types", 5, 999)).find("not known"), std::string::npos);
  EXPECT_NE(refusal(number("types", 5, uint64_t{1} << 32)).find("not known"), std::string::npos);
  EXPECT_NE(refusal(number("orders", 5, 2)).find("order 2"), std::string::npos);
  EXPECT_NE(refusal([](Metadata& m, std::vector<Tensor>&) { m.set("moiety.pack.version", uint32_t{2}); }).find("version 2"), std::string::npos);
  EXPECT_NE(refusal([](Metadata& m, std::vector<Tensor>&) { m.erase("moiety.pack.bytes"); }).find("moiety.pack.bytes"), std::string::npos);
  EXPECT_NE(refusal([](Metadata& m, std::vector<Tensor>&) { m.set("moiety.pack.rows", MetaArray{10, std::vector<uint64_t>{1}}); }).find("moiety.pack.rows"),
            std::string::npos);
  EXPECT_NE(refusal([](Metadata&, std::vector<Tensor>& t) { t.pop_back(); }).find(packed_checksums), std::string::npos);
  EXPECT_NE(refusal([](Metadata&, std::vector<Tensor>& t) { t.erase(t.begin()); }).find("is missing"), std::string::npos);
}

}  // namespace
}  // namespace moiety
