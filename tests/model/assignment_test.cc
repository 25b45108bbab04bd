// A plan's choices by expert, against sorting them all at once.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "model/experts.h"

namespace moiety {
namespace {

// Ids [0, 2n) over n records.
class TwiceEach : public ExpertBank {
 public:
  explicit TwiceEach(uint32_t records) : records_(records) {}
  uint32_t size() const override { return 2 * records_; }
  uint32_t record(uint32_t id) const override { return id % records_; }
  std::unique_ptr<Lease> lease(std::span<const uint32_t>) override { return nullptr; }

 private:
  uint32_t records_;
};

RoutingPlan random_plan(std::mt19937& rng, size_t rows, uint32_t ids, size_t most) {
  RoutingPlan plan;
  for (size_t t = 0; t < rows; t++) {
    std::vector<Choice> row(rng() % (most + 1));
    for (Choice& c : row) c = {static_cast<uint32_t>(rng() % ids), static_cast<float>(static_cast<int>(rng() % 65) - 32) / 16};  // their sums are exact
    plan.append_row(row);
  }
  return plan;
}

// One by one: of each row by record the lowest id and the sum of weights, all of them by id and row.
std::map<std::pair<uint32_t, uint32_t>, float> expected(const RoutingPlan& plan, const ExpertBank& bank) {
  std::map<std::pair<uint32_t, uint32_t>, float> out;
  for (uint32_t t = 0; t < plan.rows(); t++) {
    std::map<uint32_t, Choice> by_record;
    for (const Choice& c : plan[t]) {
      const auto [at, fresh] = by_record.try_emplace(bank.record(c.expert), c);
      if (!fresh) at->second = {std::min(at->second.expert, c.expert), at->second.weight + c.weight};
    }
    for (const auto& [record, c] : by_record) out[{c.expert, t}] = c.weight;
  }
  return out;
}

TEST(Assignment, IsTheSortedPlanOnAnyNumberOfThreads) {
  std::mt19937 rng(4);
  for (size_t threads : {1, 2, 3}) {
    Workers workers(threads);
    for (size_t rows : {0, 1, 2, 63, 64, 65, 200, 1000})
      for (uint32_t records : {1, 7, 300}) {
        SCOPED_TRACE(testing::Message() << threads << " threads, " << rows << " rows, " << records << " records");
        const TwiceEach bank(records);
        const RoutingPlan plan = random_plan(rng, rows, bank.size(), 9);
        const auto want = expected(plan, bank);
        const Assignment got = assign(plan, bank, workers);
        ASSERT_EQ(got.first.size(), got.experts.size() + 1);
        ASSERT_EQ(got.first.back(), want.size());
        ASSERT_EQ(got.rows.size(), want.size());
        ASSERT_EQ(got.weights.size(), want.size());
        auto next = want.begin();
        for (size_t i = 0; i < got.experts.size(); i++) {
          EXPECT_FALSE(got.rows_of(i).empty());
          for (size_t m = 0; m < got.rows_of(i).size(); m++, next++) {
            EXPECT_EQ(next->first, std::pair(got.experts[i], got.rows_of(i)[m]));
            EXPECT_EQ(next->second, got.weights_of(i)[m]);
          }
        }
      }
  }
}

}  // namespace
}  // namespace moiety
