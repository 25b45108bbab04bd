#include "decode/stop.h"

#include <gtest/gtest.h>

#include <random>

#include "base/error.h"

namespace moiety {
namespace {

std::string feed(StopStrings& stops, const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += stops.push(piece);
  return out + stops.finish();
}

TEST(Stop, HoldsBackWhatMayBeAStopString) {
  StopStrings stops({"</s>"});
  EXPECT_EQ(stops.push("ab<"), "ab");
  EXPECT_EQ(stops.push("/"), "");
  EXPECT_EQ(stops.push("x<"), "</x");
  EXPECT_EQ(stops.push("/s>more"), "");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.push("and more"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(Stop, GivesTheRestBackAtTheEnd) {
  StopStrings stops({"</s>"});
  EXPECT_EQ(feed(stops, {"a<", "/s"}), "a</s");
  EXPECT_FALSE(stops.stopped());
  StopStrings none({});
  EXPECT_EQ(feed(none, {"a", "", "b"}), "ab");
  EXPECT_THROW(StopStrings({""}), UsageError);
}

// The plain reference: the first end of the whole text at which a stop string is complete, the longest such string.
std::string reference(const std::string& text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); end++) {
    size_t longest = 0;
    for (const std::string& stop : stops)
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) longest = std::max(longest, stop.size());
    if (longest) return text.substr(0, end - longest);
  }
  return text;
}

TEST(Stop, EqualsTheWholeTextsSearchHoweverItIsCut) {
  const unsigned seed = 20;
  std::mt19937 random(seed);
  auto word = [&](size_t least, size_t most) {
    std::string out(least + random() % (most - least + 1), 'a');
    for (char& c : out) c = static_cast<char>('a' + random() % 2);
    return out;
  };
  for (int round = 0; round < 3000; round++) {
    std::vector<std::string> stops;
    for (size_t i = random() % 4; i > 0; i--) stops.push_back(word(2, 6));
    const std::string text = word(0, 30);
    std::vector<std::string> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t n = random() % 4;
      pieces.push_back(text.substr(at, n));
      at += pieces.back().size();
    }
    StopStrings stream(stops);
    ASSERT_EQ(feed(stream, pieces), reference(text, stops)) << "seed " << seed << " round " << round;
    ASSERT_EQ(stream.stopped(), reference(text, stops) != text || [&] {
      for (const std::string& stop : stops)
        if (text.find(stop) != text.npos) return true;
      return false;
    }());
  }
}

}  // namespace
}  // namespace moiety
