// Ids and text against what the `tokenizers` package and llama.cpp wrote down, and input that means harm.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/error.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;
const fs::path own = fs::path(MOIETY_SOURCE_DIR) / "tests/data/tokenizers";
const fs::path shared = fs::path(MOIETY_SHARED_DIR) / "data/tokenizers";
constexpr EncodeOptions kPlain{.add_special = false, .parse_special = false};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class OwnTokenizer : public ::testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Tokenizer> tokenizer = load_tokenizer(own / GetParam());
};

TEST_P(OwnTokenizer, GivesTheIdsOfTheTokenizersPackage) {
  const auto vectors = nlohmann::json::parse(read(own / GetParam() / "vectors.json"));
  ASSERT_GT(vectors.size(), 100u);
  for (const auto& v : vectors) {
    const auto text = v["text"].get<std::string>();
    EXPECT_EQ(tokenizer->encode(text), v["ids"].get<std::vector<int32_t>>()) << v.dump();
    EXPECT_EQ(tokenizer->encode(text, {.add_special = false}), v["ids_no_special"].get<std::vector<int32_t>>()) << v.dump();
  }
}

TEST_P(OwnTokenizer, StreamsWhatItDecodesAndNeverHalfACharacter) {
  for (const auto& v : nlohmann::json::parse(read(own / GetParam() / "vectors.json"))) {
    const auto ids = v["ids"].get<std::vector<int32_t>>();
    StreamDecoder stream(*tokenizer);
    std::string text;
    for (int32_t id : ids) {
      const std::string part = stream.push(id);
      EXPECT_NO_THROW(nlohmann::json(part).dump()) << v.dump();  // dump() refuses text that is not UTF-8
      text += part;
    }
    text += stream.flush();
    EXPECT_EQ(text, tokenizer->decode(ids, true)) << v.dump();
  }
}

// Any ids, also bytes that make no character: the stream is the whole, with one U+FFFD for each damaged place.
TEST_P(OwnTokenizer, StreamsAnyIds) {
  const uint32_t seed = 20240612;
  std::mt19937 random(seed);
  for (int n = 0; n < 2000; n++) {
    std::vector<int32_t> ids(random() % 12);
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % (n % 2 ? tokenizer->size() : std::min<size_t>(tokenizer->size(), 270)));
    StreamDecoder stream(*tokenizer);
    std::string text;
    for (int32_t id : ids) text += stream.push(id);
    text += stream.flush();
    const std::string whole = nlohmann::json(tokenizer->decode(ids, true)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    EXPECT_EQ(text, nlohmann::json::parse(whole).get<std::string>()) << "seed " << seed << ", text " << n;
  }
}

TEST_P(OwnTokenizer, TakesAnyBytes) {
  const uint32_t seed = 20240611;
  std::mt19937 random(seed);
  for (int n = 0; n < 500; n++) {
    std::string text(random() % 60, ' ');
    for (char& c : text) c = static_cast<char>(random() % (n % 2 ? 256 : 128));
    for (int32_t id : tokenizer->encode(text)) ASSERT_LT(static_cast<size_t>(id), tokenizer->size()) << "seed " << seed << ", text " << n;
  }
}

TEST_P(OwnTokenizer, EndsOnAMegabyteOfOneCharacter) {
  for (const char* unit : {"a", " ", "\n", "1", "'", "ä", "\xff", "a "}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    EXPECT_FALSE(tokenizer->encode(text).empty()) << unit;
  }
}

INSTANTIATE_TEST_SUITE_P(Text, OwnTokenizer, ::testing::Values("byte_level", "metaspace", "unigram", "wordpiece"),
                         [](const auto& i) { return std::string(i.param); });

TEST(Tokenizer, ByteLevelGivesEveryByteBack) {
  const auto tokenizer = load_tokenizer(own / "byte_level");
  std::string all;
  for (int i = 0; i < 256; i++) all += static_cast<char>(i);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(all)), all);
}

TEST(Tokenizer, PlainTextNamesNoSpecialToken) {
  const auto tokenizer = load_tokenizer(own / "byte_level");
  const auto id = tokenizer->id_of("<|im_end|>");
  ASSERT_TRUE(id);
  EXPECT_TRUE(tokenizer->is_special(*id));
  EXPECT_EQ(std::ranges::count(tokenizer->encode("a<|im_end|>b"), *id), 1);
  const auto plain = tokenizer->encode("a<|im_end|>b", kPlain);
  EXPECT_EQ(std::ranges::count(plain, *id), 0);
  EXPECT_EQ(tokenizer->decode(plain), "a<|im_end|>b");
}

// A .inp file holds texts between marker lines, its .out file the ids of each on one line.
void check_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const fs::path base = shared / "llama.cpp";
  std::string texts = read(base / ("ggml-vocab-" + name + ".gguf.inp"));
  std::istringstream lines(read(base / ("ggml-vocab-" + name + ".gguf.out")));
  const std::string marker = "\n__ggml_vocab_test__\n";
  size_t count = 0;
  for (size_t at = 0;; count++) {
    const size_t end = texts.find(marker, at);
    std::string line;
    if (!std::getline(lines, line)) break;
    std::istringstream numbers(line);
    std::vector<int32_t> want{std::istream_iterator<int32_t>(numbers), {}};
    const std::string text = texts.substr(at, end == std::string::npos ? end : end - at);
    EXPECT_EQ(tokenizer.encode(text, kPlain), want) << name << ": " << nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (end == std::string::npos) {
      count++;
      break;
    }
    at = end + marker.size();
  }
  EXPECT_GT(count, 40u) << name;
}

TEST(Tokenizer, GivesTheIdsOfLlamaCpp) {
  if (!fs::exists(shared / "llama.cpp")) {
    std::cout << "llama.cpp's vectors are not here; the tests of our own tokenizers stand alone\n";
    return;
  }
  for (const char* name : {"gpt-2", "llama-spm", "phi-3", "falcon", "deepseek-llm", "deepseek-coder", "bert-bge"})
    check_vectors(*load_tokenizer(shared / "llama.cpp" / ("ggml-vocab-" + std::string(name) + ".gguf")), name);
  for (const char* name : {"qwen2", "deepseek-r1-qwen"}) check_vectors(*load_tokenizer(shared / "qwen3"), name);  // the same words
  check_vectors(*load_tokenizer(shared / "mistral/llama2_tokenizer.model"), "llama-spm");
}

// Files that mean harm: an error that names the file, and no long wait.
// In gpt-oss' form <|end|> ends a channel; elsewhere, as in Phi, it ends the turn.
TEST(Tokenizer, EndOfAChannelIsNoEndOfATurn) {
  auto ends = [](const std::string& names) {
    std::string added;
    int id = 1;
    std::istringstream words(names);
    for (std::string name; words >> name; id++) added += (id > 1 ? "," : "") + std::string(R"({"special":true,"content":")") + name + R"(","id":)" + std::to_string(id) + "}";
    return tokenizer_from_json(R"({"added_tokens":[)" + added + R"(],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}})", "test")->end_ids();
  };
  EXPECT_EQ(ends("<|start|> <|end|>"), (std::vector<int32_t>{2}));
  EXPECT_EQ(ends("<|start|> <|end|> <|return|> <|call|>"), (std::vector<int32_t>{3, 4}));
}

TEST(Tokenizer, RefusesHostileFiles) {
  const std::string model = R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]})";
  const std::pair<std::string, const char*> files[] = {
      {R"({"model": {"type": "BPE", "vocab": {"a": 1099511627776}, "merges": []}})", "has the id 1099511627776"},
      {R"({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}})", "has the id -1"},
      {R"({"model": {"type": "BPE", "vocab": {"a": "b"}, "merges": []}})", "no integer"},
      {R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a"]]}})", "no pair"},
      {R"({"model": {"type": "Unigram", "unk_id": 9, "vocab": [["a", -1]]}})", "unk_id"},
      {R"({"model": {"type": "WordLevel", "vocab": {"a": 0}}})", "not known"},
      {model + R"(, "added_tokens": [{"id": 2000000000, "content": "x"}]})", "has the id 2000000000"},
      {model + R"(, "post_processor": {"type": "BertProcessing", "cls": ["a", 77], "sep": ["b", 1]}})", "outside the vocabulary"},
      {model + R"(, "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "((("}, "behavior": "Isolated"}})", "missing closing parenthesis"},
      {std::string(100'000, '['), "nests too deeply"},
      {R"({"model": )" + std::string(500, '['), "nests too deeply"},
      {model, "is not JSON"},
  };
  for (const auto& [file, reason] : files) {
    try {
      tokenizer_from_json(file, "bad.json");
      ADD_FAILURE() << "taken: " << file.substr(0, 100);
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("bad.json"), std::string::npos) << e.what();
      EXPECT_NE(std::string(e.what()).find(reason), std::string::npos) << e.what();
    }
  }
}

TEST(Tokenizer, EndsOnHostileExpressionsAndMerges) {
  const auto slow = tokenizer_from_json(R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated"},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})", "slow.json");
  EXPECT_THROW(slow->encode(std::string(50'000, 'a') + "b"), Error);
  const auto cycle = tokenizer_from_json(R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "ba": 3, "aba": 4},
      "merges": ["a b", "b a", "ab a", "a ba", "aba aba", "x y", "a b"]}})", "cycle.json");
  EXPECT_EQ(cycle->encode("ababa"), (std::vector<int32_t>{2, 4}));
}

}  // namespace
}  // namespace moiety
