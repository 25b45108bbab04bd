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
  std::string refusal(const std::function<void(Metadata&, std::vector<Tensor>&)>& damage) const {
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

using Damage = std::function<void(Metadata&, std::vector<Tensor>&)>;

size_t index_of(const Metadata& m, const std::string& name, uint64_t element) {
  const std::vector<std::string>& names = *m.strings("moiety.pack.names");
  const std::vector<int64_t> elements = *m.integers("moiety.pack.elements");
  for (size_t i = 0; i < names.size(); i++)
    if (names[i] == name && static_cast<uint64_t>(elements[i]) == element) return i;
  throw Error("part {}:{} is not there", name, element);
}

uint64_t& entry(MetaArray& array, size_t i) { return std::get<std::vector<uint64_t>>(array.values).at(i); }

void change(Metadata& m, const std::string& list, const std::function<void(MetaArray&)>& edit) {
  MetaArray array = std::get<MetaArray>(*m.find("moiety.pack." + list));
  edit(array);
  m.set("moiety.pack." + list, array);
}

// A number of one part: the up matrix of expert 2 in layer 1.
Damage number(const char* list, uint64_t value) {
  return [=](Metadata& m, std::vector<Tensor>&) {
    const size_t i = index_of(m, "blk.1.ffn_up_exps.weight", 2);
    change(m, list, [&](MetaArray& a) { entry(a, i) = value; });
  };
}

Damage text(const char* list, const char* name, uint64_t element, const char* value) {
  return [=](Metadata& m, std::vector<Tensor>&) {
    const size_t i = index_of(m, name, element);
    change(m, list, [&](MetaArray& a) { std::get<std::vector<std::string>>(a.values).at(i) = value; });
  };
}

// One part fewer, or one twice, in all lists and the checksums.
Damage in_all_lists(const char* name, uint64_t element, bool twice) {
  return [=](Metadata& m, std::vector<Tensor>& tensors) {
    const size_t i = index_of(m, name, element);
    auto edit = [&](auto& values) {
      const auto at = values.begin() + static_cast<ptrdiff_t>(i);
      if (twice) values.push_back(*at);
      else values.erase(at);
    };
    for (const char* list : {"names", "records"}) change(m, list, [&](MetaArray& a) { edit(std::get<std::vector<std::string>>(a.values)); });
    for (const char* list : {"elements", "types", "orders", "rows", "cols", "offsets", "bytes"})
      change(m, list, [&](MetaArray& a) { edit(std::get<std::vector<uint64_t>>(a.values)); });
    static std::vector<std::byte> zeros(1 << 16);
    const uint64_t count = m.strings("moiety.pack.names")->size();
    tensors.back().shape = {count};
    tensors.back().bytes = std::span(zeros).first(count * 8);
  };
}

TEST_F(PackFile, DamageIsRefused) {
  packed(fixture("mixtral"));
  EXPECT_EQ(refusal([](Metadata&, std::vector<Tensor>&) {}), "");
  const std::string up = "part blk.1.ffn_up_exps.weight:2 ", down = "blk.1.ffn_down_exps.weight";
  const struct {
    const char* what;
    Damage damage;
    std::string words;
  } cases[] = {
      {"far offset", number("offsets", uint64_t{1} << 40), up + "lies at byte 1099511627776 with 2048 bytes, outside its tensor blk.1.ffn.expert.2"},
      {"offset near overflow", number("offsets", UINT64_MAX - 63), up + "lies at byte 18446744073709551552"},
      {"misaligned", number("offsets", 2080), up + "lies at byte 2080 of its tensor blk.1.ffn.expert.2, which is no multiple of 64"},
      {"overlap", number("offsets", 1984), "parts blk.1.ffn_gate_exps.weight:2 and blk.1.ffn_up_exps.weight:2 share bytes of tensor blk.1.ffn.expert.2"},
      {"the same bytes", number("offsets", 0), "share bytes of tensor blk.1.ffn.expert.2"},
      {"another's record", text("records", "blk.1.ffn_up_exps.weight", 2, "blk.1.ffn.expert.3"), "share bytes of tensor blk.1.ffn.expert.3"},
      {"no record", text("records", "blk.1.ffn_up_exps.weight", 2, "x"), up + "lies in tensor x, which is missing"},
      {"checksums as record", text("records", "blk.1.ffn_up_exps.weight", 2, packed_checksums), "which is missing"},
      {"wrong size", number("bytes", 64), up + "has 64 bytes, BF16 [24, 32] takes 2048"},
      {"too many rows", number("rows", uint64_t{1} << 31), up + "has 2048 bytes"},
      {"rows that overflow", number("rows", UINT64_MAX), up + "has shape [18446744073709551615, 32]"},
      {"product that overflows", number("cols", uint64_t{1} << 60), up + "has shape [24, 1152921504606846976]"},
      {"no columns", number("cols", 0), up + "has shape [24, 0]"},
      {"unknown type", number("types", 999), up + "is of type 999, which is not known"},
      {"type of 33 bits", number("types", uint64_t{1} << 32), "which is not known"},
      {"type without panels", number("types", 24), up + "is in panels, which type I8 has not"},
      {"unknown order", number("orders", 2), up + "is in order 2"},
      {"element that overflows", number("elements", UINT64_MAX), "has number 18446744073709551615 in its stack"},
      {"expert twice", in_all_lists("blk.1.ffn_up_exps.weight", 2, true), up + "stands there twice"},
      {"renamed to one there", number("elements", 3), "part blk.1.ffn_up_exps.weight:3 stands there twice"},
      {"expert missing", in_all_lists("blk.1.ffn_up_exps.weight", 2, false), up + "is missing, blk.1.ffn_up_exps.weight:7 is there"},
      {"last expert missing", in_all_lists(down.c_str(), 7, false), "tensor " + down + ":7 is missing"},
      {"expert too many", text("names", "blk.1.ffn_down_exps.weight", 0, "blk.1.ffn_up_exps.weight"), "stands there twice"},
      {"foreign part", text("names", "output_norm.weight", 0, "x"), "tensor output_norm.weight is missing"},
      {"rows for a row-wise matrix", text("names", "output.weight", 0, "token_embd.weight"), "part token_embd.weight:0 stands there twice"},
      {"version", [](Metadata& m, std::vector<Tensor>&) { m.set("moiety.pack.version", uint32_t{2}); }, "version 2"},
      {"no list", [](Metadata& m, std::vector<Tensor>&) { m.erase("moiety.pack.bytes"); }, "moiety.pack.bytes"},
      {"no names", [](Metadata& m, std::vector<Tensor>&) { m.erase("moiety.pack.names"); }, "moiety.pack.names is missing"},
      {"short list", [](Metadata& m, std::vector<Tensor>&) { m.set("moiety.pack.rows", MetaArray{10, std::vector<uint64_t>{1}}); }, "moiety.pack.rows"},
      {"short texts", [](Metadata& m, std::vector<Tensor>&) { m.set("moiety.pack.records", MetaArray{8, std::vector<std::string>{"a"}}); }, "moiety.pack.records"},
      {"a list of floats", [](Metadata& m, std::vector<Tensor>&) { m.set("moiety.pack.cols", MetaArray{6, std::vector<double>{1}}); }, "moiety.pack.cols"},
      {"no checksums", [](Metadata&, std::vector<Tensor>& t) { t.pop_back(); }, packed_checksums},
      {"no first tensor", [](Metadata&, std::vector<Tensor>& t) { t.erase(t.begin()); }, "is missing"},
      {"records off their pages", [](Metadata& m, std::vector<Tensor>&) { m.set("general.alignment", uint32_t{64}); }, "does not begin at a multiple of 4096 bytes"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.what);
    const std::string said = refusal(c.damage);
    EXPECT_NE(said.find(c.words), std::string::npos) << said;
    EXPECT_NE(said.find("damaged.gguf"), std::string::npos) << said;
  }
}

// A part that the configuration does not ask for, and types that no weight is of, in rows.
TEST_F(PackFile, PartsOfNoModelAreRefused) {
  packed(fixture("mixtral"));
  const std::string extra = refusal([](Metadata& m, std::vector<Tensor>& tensors) {
    in_all_lists("output_norm.weight", 0, true)(m, tensors);
    change(m, "names", [](MetaArray& a) { std::get<std::vector<std::string>>(a.values).back() = "blk.0.extra"; });
    change(m, "records", [](MetaArray& a) { std::get<std::vector<std::string>>(a.values).back() = "extra"; });
    Tensor t = tensors.front();
    t.name = "extra", t.type = TensorType::f32, t.shape = {32}, t.bytes = t.bytes.first(128);
    tensors.insert(tensors.begin(), t);
  });
  EXPECT_NE(extra.find("part blk.0.extra:0 is none of this model's"), std::string::npos) << extra;
  for (const TensorType type : {TensorType::i8, TensorType::i32, TensorType::i64}) {
    const std::string said = refusal([&](Metadata& m, std::vector<Tensor>&) {
      const size_t i = index_of(m, "token_embd.weight", 0);
      change(m, "types", [&](MetaArray& a) { entry(a, i) = static_cast<uint64_t>(type); });
    });
    EXPECT_NE(said.find("which no weight is of"), std::string::npos) << said;
  }
}

}  // namespace
}  // namespace moiety
