// Tokenizers through GGUF's keys and back: the ids stay.
#include "text/tokenizer_export.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <random>

#include "formats/gguf.h"
#include "text/tokenizer.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;
const fs::path own = fs::path(MOIETY_SOURCE_DIR) / "tests/data/tokenizers";
const fs::path shared = fs::path(MOIETY_SHARED_DIR) / "data/tokenizers";

std::vector<std::string> texts(const Tokenizer& tokenizer) {
  const uint32_t seed = 7;
  std::mt19937 random(seed);
  static const char* const units[] = {"Hello", "the", " ", "  ", "\n", "don't", "1234", "ß", "é", "e\u0301", "Привет", "中文", "か", "🙂", ".", "!?", "\t", "ﬁ", "½",
                                      "<s>", "</s>", "[CLS]", "<|im_end|>", "antidisestablishmentarianism", "\r\n", "def f(x):", "a", "B", "_"};
  std::vector<std::string> out = {"", " ", "\n\n"};
  for (int n = 0; n < 60; n++) {
    std::string text;
    for (size_t k = random() % 12; k-- > 0;) text += random() % 8 ? units[random() % std::size(units)] : tokenizer.bytes_of(static_cast<int32_t>(random() % tokenizer.size()));
    out.push_back(text);
  }
  return out;
}

void expect_same(const Tokenizer& a, const Tokenizer& b, const std::string& what) {
  for (const std::string& text : texts(a)) {
    for (const bool special : {false, true})
      for (const bool parse : {false, true})
        EXPECT_EQ(a.encode(text, {special, parse}), b.encode(text, {special, parse})) << what << ": '" << text << "'";
    const auto ids = a.encode(text);
    EXPECT_EQ(a.decode(ids), b.decode(ids)) << what << ": '" << text << "'";
  }
  EXPECT_EQ(a.bos(), b.bos()) << what;
  EXPECT_EQ(a.eos(), b.eos()) << what;
  EXPECT_EQ(a.chat_template(), b.chat_template()) << what;
}

// Written as a directory and read again.
std::shared_ptr<const Tokenizer> as_directory(const Metadata& m) {
  const auto folder = fs::temp_directory_path() / ("moiety-tokenizer-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  EXPECT_EQ(write_tokenizer(m, folder), "");
  auto tokenizer = load_tokenizer(folder);
  fs::remove_all(folder);
  return tokenizer;
}

void check_export(const fs::path& directory) {
  const auto tokenizer = load_tokenizer(directory);
  Metadata m("model.gguf");
  const std::string warning = export_tokenizer(directory, static_cast<uint32_t>(tokenizer->size() + 5), m);
  if (!warning.empty()) std::cout << directory.filename().string() << ": " << warning << "\n";
  expect_same(*tokenizer, *tokenizer_from_gguf(m), directory.string() + " as GGUF");
  expect_same(*tokenizer, *as_directory(m), directory.string() + " there and back");
}

TEST(TokenizerExport, KeepsTheIdsOfEveryKind) {
  for (const char* name : {"byte_level", "metaspace", "unigram", "wordpiece"}) check_export(own / name);
  if (fs::exists(shared))
    for (const char* name : {"qwen3", "deepseek_v3", "olmoe"}) check_export(shared / name);
}

TEST(TokenizerExport, TakesADirectoryWithNothingButASentencePieceModel) {
  if (!fs::exists(shared)) {
    std::cout << "no SentencePiece model here\n";
    return;
  }
  for (const char* name : {"mistral/llama2_tokenizer.model", "mistral/tokenizer.model.v1", "sentencepiece/test_model.model"}) {
    const auto folder = fs::temp_directory_path() / ("moiety-sentencepiece-" + std::to_string(::getpid()));
    fs::create_directories(folder);
    fs::copy_file(shared / name, folder / "tokenizer.model", fs::copy_options::overwrite_existing);
    std::ofstream(folder / "tokenizer_config.json") << R"({"chat_template": "{{ bos_token }}", "eos_token": "</s>"})";
    const auto tokenizer = load_tokenizer(folder);
    EXPECT_EQ(tokenizer->chat_template(), "{{ bos_token }}");
    Metadata m("model.gguf");
    EXPECT_EQ(export_tokenizer(folder, static_cast<uint32_t>(tokenizer->size()), m), "") << name;
    expect_same(*tokenizer, *tokenizer_from_gguf(m), std::string(name) + " as GGUF");
    fs::remove_all(folder);
  }
}

// GGUF files by llama.cpp as tokenizer.json.
TEST(TokenizerExport, WritesWhatOthersGgufFilesSay) {
  if (!fs::exists(shared)) {
    std::cout << "no vocabularies of llama.cpp here\n";
    return;
  }
  for (const char* name : {"gpt-2", "llama-spm", "phi-3", "falcon", "deepseek-llm", "deepseek-coder", "bert-bge", "gpt-neox"}) {
    const fs::path path = shared / "llama.cpp" / ("ggml-vocab-" + std::string(name) + ".gguf");
    const GgufFile file = GgufFile::open(path);
    expect_same(*load_tokenizer(path), *as_directory(file.metadata()), name);
  }
}

TEST(TokenizerExport, SaysThatThereIsNone) {
  Metadata m("model.gguf");
  EXPECT_NE(export_tokenizer(own, 300, m).find("placeholder"), std::string::npos);
  EXPECT_EQ(tokenizer_from_gguf(m)->size(), 300u);
  EXPECT_NE(write_tokenizer(Metadata("empty.gguf"), fs::temp_directory_path()).find("no tokenizer"), std::string::npos);
}

}  // namespace
}  // namespace moiety
