#include "base/progress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace moiety {
namespace {

// A clock that the test moves, and what was written.
struct Screen {
  double now = 100;
  std::vector<std::string> writes;
  ProgressOutput output(bool terminal) {
    ProgressOutput o;
    o.terminal = terminal;
    o.seconds = [this] { return now; };
    o.write = [this](std::string_view text) { writes.emplace_back(text); };
    return o;
  }
};

TEST(Progress, ABarAfterTwoSecondsWithRateAndTimeLeft) {
  Screen screen;
  {
    Progress p("convert", "tensors", 40, screen.output(true));
    screen.now += 1.9;
    p.advance(5);
    EXPECT_TRUE(screen.writes.empty());
    screen.now += 0.6;
    p.advance(5);
    ASSERT_EQ(screen.writes.size(), 1u);
    EXPECT_EQ(screen.writes[0], "\rconvert [######------------------] 25% 10 of 40 tensors, 4 tensors/s, 8 s left\x1b[K");
    screen.now += 0.05;  // not redrawn at every call
    p.advance();
    EXPECT_EQ(screen.writes.size(), 1u);
  }
  EXPECT_EQ(screen.writes.back(), "\r\x1b[K");
}

TEST(Progress, ShortWorkShowsNothing) {
  Screen screen;
  { Progress("convert", "tensors", 4, screen.output(true)).advance(4); }
  EXPECT_TRUE(screen.writes.empty());
}

TEST(Progress, ColoursOnlyWhenAllowedAndNeverWiderThanTheTerminal) {
  Screen screen;
  ProgressOutput o = screen.output(true);
  o.colour = true;
  Progress coloured("x", "bytes", 4096, o);
  screen.now += 4;
  coloured.set(2048, 4096);
  EXPECT_EQ(screen.writes.back(), "\rx [\x1b[36m############\x1b[0m------------] 50% 2.0 KiB of 4.0 KiB, 512 bytes/s, 4 s left\x1b[K");
  o.columns = 20;
  Progress narrow("x", "bytes", 4096, o);
  screen.now += 4;
  narrow.set(2048, 4096);
  EXPECT_EQ(screen.writes.back(), "\rx 50% 2.0 KiB of 4.\x1b[K");
}

TEST(Progress, PlainLinesElsewhere) {
  Screen screen;
  Progress p("read", "windows", 0, screen.output(false));
  for (int second = 1; second <= 11; second++) {
    screen.now += 1;
    p.advance();
  }
  EXPECT_EQ(screen.writes, (std::vector<std::string>{"read 5 windows, 1 windows/s\n", "read 10 windows, 1 windows/s\n"}));
}

TEST(Progress, QuietIsSilent) {
  Screen screen;
  ProgressOutput o = screen.output(true);
  o.quiet = true;
  Progress p("read", "windows", 9, o);
  screen.now += 60;
  p.advance(3);
  EXPECT_TRUE(screen.writes.empty());
}

}  // namespace
}  // namespace moiety
