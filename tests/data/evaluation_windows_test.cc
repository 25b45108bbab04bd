// Evaluation windows against a stream walked by hand: each id predicted once, each byte counted once.
#include "data/evaluation_windows.h"

#include "base/error.h"
#include "base/file.h"
#include "data/tokenize.h"
#include "tests/data/small_data.h"

namespace moiety {
namespace {

void check(uint32_t seed, size_t count, size_t longest, const std::vector<int32_t>& separator, size_t context, size_t overlap) {
  const TemporaryPath path("t");
  const auto documents = random_documents(seed, count, longest);
  const auto file = write_documents(path, documents, separator);
  const std::vector<int32_t> all = joined(documents, separator);
  if (all.size() < 2) return;
  std::vector<uint32_t> every(count);
  for (uint32_t i = 0; i < count; i++) every[i] = i;
  const EvaluationWindows windows(TokenStream(file, every), context, overlap);

  std::vector<int> times(all.size());
  uint64_t bytes = 0;
  for (size_t i = 0; i < windows.size(); i++) {
    const EvaluationWindow& w = windows[i];
    std::vector<int32_t> inputs(context, -7), targets(context, -7);
    windows.read(i, inputs, targets);
    for (size_t k = 0; k < context; k++) {
      ASSERT_EQ(inputs[k], k < w.count ? all[w.begin + k] : 0);
      if (targets[k] == no_target) continue;
      ASSERT_LT(k, w.count);
      ASSERT_EQ(targets[k], all[w.begin + k + 1]);
      ASSERT_TRUE(i == 0 || k >= overlap);
      times[w.begin + k + 1]++;
    }
    bytes += w.bytes;
  }
  // Everything but the first id and the second halves of separators (id 1, which no text has).
  for (size_t p = 0; p < all.size(); p++) ASSERT_EQ(times[p], p > 0 && !(separator.size() == 2 && all[p] == 1)) << "seed " << seed << ", place " << p;
  uint64_t want = count - 1;
  for (const SmallDocument& d : documents) want += d.text.size();
  EXPECT_EQ(bytes, want);
  EXPECT_EQ(windows.bytes(), want);
}

TEST(EvaluationWindows, PredictEachIdOnceAndCountEachByteOnce) {
  uint32_t seed = 0;
  for (const std::vector<int32_t>& separator : {std::vector<int32_t>{0}, std::vector<int32_t>{0, 1}})
    for (const size_t context : {1, 2, 7, 16, 500})
      for (const size_t overlap : {size_t{0}, context / 2, context - 1})
        for (const auto& [count, longest] : {std::pair(1, 40), std::pair(25, 3), std::pair(12, 60), std::pair(1, 0)})
          check(seed++, static_cast<size_t>(count), static_cast<size_t>(longest), separator, context, overlap < context ? overlap : 0);
}

TEST(EvaluationWindows, StandForTheTextFileAsItIs) {
  const TemporaryPath text("a.txt"), out("a.tokens");
  const std::string content = "one document\n\fanother, with <|endoftext|> in it\f\xff\xfe no UTF-8 \fä";
  {
    AtomicFile file(text);
    file.write(content);
    file.commit();
  }
  const std::vector<TextFile> files = {{text, "d"}};
  const auto tokenizer = load_data_tokenizer(std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/data/tokenizers/byte_level");
  const auto file = std::make_shared<const TokenFile>(tokenize_files(files, tokenizer, out));
  EXPECT_EQ(EvaluationWindows(TokenStream(file, documents_of(*file, 0, DocumentPart::training, {})), 6).bytes(), content.size());
}

TEST(EvaluationWindows, RefuseNothingToPredict) {
  const TemporaryPath path("t");
  const auto file = write_documents(path, random_documents(1, 3, 5));
  EXPECT_THROW(EvaluationWindows(TokenStream(file, {}), 8), Error);
  EXPECT_THROW(EvaluationWindows(TokenStream(file, {0, 1, 2}), 8, 8), Error);
  EXPECT_THROW(EvaluationWindows(TokenStream(file, {0, 1, 2}), 0), Error);
}

}  // namespace
}  // namespace moiety
