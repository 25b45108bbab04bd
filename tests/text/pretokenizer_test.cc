// Hand-written splitters against their regular expressions, and every expression of the table on texts that make bad ones slow.
#include "text/pretokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

#include "base/error.h"

namespace moiety {
namespace {

std::string random_text(std::mt19937& random, size_t length) {
  static const char* const units[] = {"a", "b", "Z", "s", "S", "ll", "re", "'", "'s", "'T", "'Ll", "'VE", "d", " ", "  ", "\t", "\n", "\r\n", "\r", "\v",
                                      "1", "2345", "٣", "½", "Ⅷ", "é", "É", "ß", "e\u0301", "ж", "Ж", "中", "の", "가", "ǅ", "ʰ", "أ", "ش", "हि", "\u00a0",
                                      "\u3000", "\u2028", "\u0085", "\u200d", "👩‍👩‍👧", "🇩🇪", "_", "-", "…", "€", "/", "!", "?!", ".", "ſ", "'ſ", "\u202e"};
  std::string out;
  while (length-- > 0) out += units[random() % std::size(units)];
  return out;
}

TEST(Splitter, CutsAsItsRegularExpression) {
  for (const uint32_t seed : {1u, 2u, 3u}) {
    std::mt19937 random(seed);
    for (const std::string_view pattern : splitter_patterns()) {
      const PreTokenizerStep fast = PreTokenizerStep::split(std::string(pattern));
      ASSERT_TRUE(fast.splitter) << pattern;
      PreTokenizerStep plain = fast;
      plain.splitter = nullptr;
      for (int n = 0; n < 2000; n++) {
        const std::string text = random_text(random, 1 + random() % 30);
        EXPECT_EQ(pre_tokenize({fast}, text, true).spans, pre_tokenize({plain}, text, true).spans) << pattern << " on '" << text << "', seed " << seed;
      }
    }
  }
}

// The pieces of every pre-tokenizer that only cuts cover the text, whatever bytes it is made of.
TEST(PreTokenizer, LosesNothing) {
  std::mt19937 random(4);
  for (const std::string_view name : pretokenizer_names()) {
    std::vector<PreTokenizerStep> steps;
    for (const std::string& regex : *pretokenizer_regexes(name)) steps.push_back(PreTokenizerStep::split(regex));
    for (int n = 0; n < 20; n++) {
      std::string text = random_text(random, 40);
      for (int k = 0; k < n % 4; k++) text[random() % text.size()] = static_cast<char>(random());
      const Pieces pieces = pre_tokenize(steps, text, true);
      std::string joined;
      for (size_t i = 0; i < pieces.spans.size(); i++) joined += pieces[i];
      EXPECT_EQ(joined, text) << name;
    }
  }
}

TEST(PreTokenizer, IsNeverQuadratic) {
  std::set<const void*> seen;  // names share their expressions
  for (const std::string_view name : pretokenizer_names()) {
    if (!seen.insert(pretokenizer_regexes(name)).second) continue;
    std::vector<PreTokenizerStep> steps;
    for (const std::string& regex : *pretokenizer_regexes(name)) steps.push_back(PreTokenizerStep::split(regex));
    for (const char* unit : {"a", "A", "É", "é", "7", " ", "\n", "!", "中", "'", "a ", "e\u0301"}) {
      std::string text;
      while (text.size() < 300'000) text += unit;
      text += "x";
      const auto begin = std::chrono::steady_clock::now();
      try {
        pre_tokenize(steps, text, true);
      } catch (const Error& e) {
        ADD_FAILURE() << name << " on '" << unit << "': " << e.what();
      }
      const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      EXPECT_LT(s, 20) << name << " on '" << unit << "'";
    }
  }
}

}  // namespace
}  // namespace moiety
