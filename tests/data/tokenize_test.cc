// Text files to token files: the tokenizer's ids, whatever the threads, and no work done twice.
#include "data/tokenize.h"

#include <mutex>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf.h"
#include "tests/data/small_data.h"
#include "text/tokenizer_export.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;
const fs::path tokenizers = fs::path(MOIETY_SOURCE_DIR) / "tests/data/tokenizers";
constexpr EncodeOptions plain{.add_special = false, .parse_special = false};

void write(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

// Words and code with documents of 1 byte to some KB.
std::string random_text(uint32_t seed, size_t documents) {
  std::mt19937 random(seed);
  const char* words[] = {"kalomi", " ", "ren", "\n", "int x = 3;", "  ", "ße", "<|endoftext|>", "12", "日本"};
  std::string out;
  for (size_t i = 0; i < documents; i++) {
    if (i) out += '\f';
    for (size_t n = 1 + random() % 500; n > 0; n--) out += words[random() % std::size(words)];
  }
  return out;
}

TEST(Tokenize, HoldsTheTokenizersIdsForAnyNumberOfThreads) {
  const TemporaryPath a("a.txt"), b("b.txt");
  write(a, random_text(1, 50));
  write(b, random_text(2, 1));
  const std::vector<TextFile> files = {{a, "words"}, {b, "code"}};
  const DataTokenizer tokenizer = load_data_tokenizer(tokenizers / "byte_level");
  ASSERT_EQ(tokenizer.separator.size(), 1u);
  EXPECT_EQ(tokenizer.tokenizer->bytes_of(tokenizer.separator[0]), "<|endoftext|>");
  std::string first;
  for (size_t threads : {1, 2, 5}) {
    const TemporaryPath out("out.tokens");
    std::mutex mutex;
    uint64_t most = 0, all = 0;
    const TokenFile file = tokenize_files(files, tokenizer, out, {threads, [&](uint64_t done, uint64_t of) {
                                            const std::lock_guard lock(mutex);
                                            most = std::max(most, done), all = of;
                                          }});
    if (threads == 1) first = read_text_file(out);
    EXPECT_EQ(read_text_file(out), first);
    EXPECT_EQ(most, all);
    ASSERT_EQ(file.documents().size(), 51u);
    const std::string text = read_text_file(a);
    const auto texts = split_documents(text);
    uint64_t bytes = 0;
    for (size_t i = 0; i < 50; i++) {
      std::vector<int32_t> got(file.end_of(i) - file.documents()[i].first), want = tokenizer.tokenizer->encode(texts[i], plain);
      file.read(file.documents()[i].first, got);
      want.insert(want.begin(), tokenizer.separator[0]);
      EXPECT_EQ(got, want);
      bytes += file.documents()[i].bytes;
    }
    EXPECT_EQ(bytes + 49, text.size());
    EXPECT_EQ(file.domains(), (std::vector<std::string>{"words", "code"}));
  }
}

TEST(Tokenize, WorksOnlyWhenSomethingHasChanged) {
  const TemporaryPath text("a.txt"), out("out.tokens"), other("tokenizer.json");
  const fs::path byte_level = tokenizers / "byte_level";
  write(other, " " + read_text_file(byte_level / "tokenizer.json"));
  write(text, random_text(3, 5));
  size_t calls = 0;
  const TokenizeOptions counted{1, [&](uint64_t, uint64_t) { calls++; }};
  const auto made = [&](const fs::path& tokenizer, const char* domain) {
    calls = 0;
    const std::vector<TextFile> files = {{text, domain}};
    tokenize_files(files, load_data_tokenizer(tokenizer), out, counted);
    return calls > 0;
  };
  EXPECT_TRUE(made(byte_level, "a"));
  EXPECT_FALSE(made(byte_level, "a"));
  EXPECT_TRUE(made(byte_level, "b"));
  EXPECT_TRUE(made(other, "b"));
  EXPECT_FALSE(made(other, "b"));
  write(text, random_text(4, 5));
  EXPECT_TRUE(made(other, "b"));

  std::string newer = read_text_file(out);
  newer[7] = '9';
  write(out, newer);
  EXPECT_TRUE(made(other, "b"));
}

TEST(Tokenize, OverwritesNeitherWhatIsDamagedNorWhatIsSomethingElse) {
  const TemporaryPath text("a.txt"), out("out.tokens");
  write(text, random_text(5, 5));
  const std::vector<TextFile> files = {{text, "a"}};
  const DataTokenizer tokenizer = load_data_tokenizer(tokenizers / "byte_level");
  tokenize_files(files, tokenizer, out);
  std::string damaged = read_text_file(out);
  damaged[damaged.size() / 2] ^= 1;
  for (const std::string& content : {damaged, damaged.substr(0, damaged.size() - 9), std::string("a letter of mine")}) {
    write(out, content);
    EXPECT_THROW(tokenize_files(files, tokenizer, out), Error);
    EXPECT_EQ(read_text_file(out), content);
  }
}

TEST(Tokenize, RefusesTextsThatAreNotThere) {
  const TemporaryPath text("a.txt"), out("out.tokens");
  const std::vector<TextFile> files = {{text, "a"}};
  const DataTokenizer tokenizer = load_data_tokenizer(tokenizers / "byte_level");
  EXPECT_THROW(tokenize_files({}, tokenizer, out), Error);
  EXPECT_THROW(tokenize_files(files, tokenizer, out), Error);
  for (const char* empty : {"", "\f", "\f\f\f"}) {
    write(text, empty);
    EXPECT_THROW(tokenize_files(files, tokenizer, out), Error);
  }
  EXPECT_FALSE(fs::exists(out));
}

TEST(DataTokenizer, FingerprintsChangeWithTheFile) {
  const uint64_t one = load_data_tokenizer(tokenizers / "byte_level").fingerprint;
  EXPECT_EQ(load_data_tokenizer(tokenizers / "byte_level").fingerprint, one);
  std::string json = read_text_file(tokenizers / "byte_level" / "tokenizer.json");
  const TemporaryPath copy("tokenizer.json");
  write(copy, json);
  const uint64_t alone = load_data_tokenizer(copy).fingerprint;
  const size_t merges = json.find("\"merges\"");
  json.insert(json.find('[', merges) + 1, " ");
  write(copy, json);
  EXPECT_NE(load_data_tokenizer(copy).fingerprint, alone);
}

TEST(DataTokenizer, TakesGgufAndFingerprintsItsTokenizerAlone) {
  const TemporaryPath path("vocabulary.gguf");
  const fs::path directory = tokenizers / "byte_level";
  const auto fingerprint = [&](const char* key, MetaValue value) {
    Metadata metadata;
    metadata.set("general.architecture", std::string("llama"));
    export_tokenizer(directory, static_cast<uint32_t>(load_tokenizer(directory)->size()), metadata);
    metadata.set(key, std::move(value));
    write_gguf(path, metadata, {});
    const DataTokenizer t = load_data_tokenizer(path);
    EXPECT_EQ(t.tokenizer->encode("kalomi 12", plain), load_tokenizer(directory)->encode("kalomi 12", plain));
    return t.fingerprint;
  };
  const uint64_t one = fingerprint("general.name", std::string("one"));
  EXPECT_EQ(fingerprint("general.name", std::string("two")), one);
  EXPECT_NE(fingerprint("tokenizer.ggml.note", std::string("x")), one);
  EXPECT_NE(fingerprint("tokenizer.ggml.list", MetaArray{8, std::vector<std::string>{"a", "bc"}}), fingerprint("tokenizer.ggml.list", MetaArray{8, std::vector<std::string>{"ab", "c"}}));
  EXPECT_NE(fingerprint("tokenizer.ggml.flags", MetaArray{7, std::vector<bool>{true, false}}), fingerprint("tokenizer.ggml.flags", MetaArray{7, std::vector<bool>{true, true}}));
}

}  // namespace
}  // namespace moiety
