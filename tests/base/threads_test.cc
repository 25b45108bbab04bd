#include "base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace moiety {
namespace {

TEST(Workers, EveryIndexOnce) {
  for (size_t threads = 1; threads <= 4; threads++) {
    Workers workers(threads);
    EXPECT_EQ(workers.size(), threads);
    for (size_t count : {0, 1, 2, 7, 64, 1000})
      for (size_t grain : {0, 1, 3, 64, 5000}) {
        const Ranges ranges = (count + grain) % 2 == 0 ? Ranges::many : Ranges::few;
        std::vector<int> seen(count);  // plain: ranges are disjoint, and a race would be found by ThreadSanitizer
        workers.run(count, grain, [&](size_t begin, size_t end, size_t worker) {
          ASSERT_LT(worker, threads);
          ASSERT_LT(begin, end);
          ASSERT_LE(end, count);
          EXPECT_EQ(begin % std::max<size_t>(1, grain), 0u);
          for (size_t i = begin; i < end; i++) seen[i]++;
        }, ranges);
        EXPECT_EQ(seen, std::vector<int>(count, 1)) << threads << " threads, grain " << grain;
      }
  }
}

TEST(Workers, ManyShortRounds) {
  Workers workers(3);
  std::vector<size_t> sums(workers.size());
  for (size_t round = 0; round < 5000; round++)
    workers.run(5, 1, [&](size_t begin, size_t, size_t worker) { sums[worker] += begin; });
  size_t sum = 0;
  for (size_t s : sums) sum += s;
  EXPECT_EQ(sum, 5000u * 10);
}

TEST(Workers, ThePhaseAfterFindsAllOfTheOneBefore) {
  for (size_t threads = 1; threads <= 4; threads++) {
    Workers workers(threads);
    for (size_t round = 0; round < 300; round++) {
      const size_t first_count = round * 7 % 50, second_count = round * 5 % 33, grain = 1 + round % 3;
      std::vector<int> first(first_count), second(second_count);
      const Workers::Work fill = [&](size_t begin, size_t end, size_t) {
        for (size_t i = begin; i < end; i++) first[i]++;
      };
      const Workers::Work look = [&](size_t begin, size_t end, size_t) {
        for (int f : first) ASSERT_EQ(f, 1);
        for (size_t i = begin; i < end; i++) second[i]++;
      };
      workers.run({first_count, grain, fill, round % 2 ? Ranges::many : Ranges::few}, {second_count, 1, look, round % 3 ? Ranges::many : Ranges::few});
      ASSERT_EQ(first, std::vector<int>(first_count, 1));
      ASSERT_EQ(second, std::vector<int>(second_count, 1));
    }
  }
}

TEST(Workers, AnExceptionEndsBothPhases) {
  for (size_t threads = 1; threads <= 4; threads++) {
    Workers workers(threads);
    for (size_t bad : {0, 49, 99, 120, 199}) {
      std::atomic<int> second = 0;
      const Workers::Work fill = [&](size_t begin, size_t end, size_t) {
        if (begin <= bad && bad < end) throw std::runtime_error("bad");
      };
      const Workers::Work look = [&](size_t begin, size_t end, size_t) {
        second++;
        if (begin + 100 <= bad && bad < end + 100) throw std::runtime_error("bad");
      };
      EXPECT_THROW(workers.run({100, 1, fill}, {100, 1, look}), std::runtime_error);
      if (bad < 100) {
        EXPECT_EQ(second, 0);
      }
      size_t sum = 0;
      workers.run(3, 3, [&](size_t begin, size_t end, size_t) { sum += end - begin; });
      EXPECT_EQ(sum, 3u);
    }
  }
}

TEST(Workers, OneWorkerRunsInline) {
  Workers workers(1);
  size_t last = 0;
  workers.run(10, 3, [&](size_t begin, size_t end, size_t) {
    EXPECT_EQ(begin, last);
    last = end;
  });
  EXPECT_EQ(last, 10u);
}

TEST(Workers, AnExceptionArrivesAndTheTeamGoesOn) {
  for (size_t threads = 1; threads <= 4; threads++) {
    Workers workers(threads);
    for (size_t bad : {0, 17, 99}) {
      EXPECT_THROW(workers.run(100, 1,
                               [&](size_t begin, size_t end, size_t) {
                                 if (begin <= bad && bad < end) throw std::runtime_error("bad");
                               }),
                   std::runtime_error);
      std::atomic<size_t> done = 0;
      workers.run(100, 1, [&](size_t begin, size_t end, size_t) { done += end - begin; });
      EXPECT_EQ(done, 100u);
    }
  }
}

TEST(Workers, DefaultCountIsAtLeastOne) { EXPECT_GE(default_thread_count(), 1u); }

}  // namespace
}  // namespace moiety
