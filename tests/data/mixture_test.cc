// Windows drawn against what the contract says: each once an epoch, sources by weight, the same again after a restore.
#include "data/mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "data/permutation.h"
#include "tests/data/small_data.h"

namespace moiety {
namespace {

MixtureSource source(const std::string& name, const std::filesystem::path& path, uint32_t seed, size_t documents, size_t longest, double weight = 1) {
  const auto file = write_documents(path, random_documents(seed, documents, longest));
  return {name, name + "'s domain", TokenStream(file, documents_of(*file, 0, DocumentPart::training, {})), weight};
}

TEST(Permutation, IsOneForEveryCount) {
  std::mt19937 random(1);
  for (uint64_t count = 1; count < 300; count++) {
    const Permutation p(count, {static_cast<uint32_t>(random()), 2, 3, 4});
    std::vector<bool> seen(count);
    for (uint64_t i = 0; i < count; i++) {
      ASSERT_LT(p(i), count);
      ASSERT_FALSE(seen[p(i)]);
      seen[p(i)] = true;
    }
  }
}

TEST(Permutation, WorksForMoreWindowsThanAnyTextHas) {
  const uint64_t count = (uint64_t{1} << 62) - 12345;
  const Permutation p(count, {1, 2, 3, 4});
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 1000; i++) seen.insert(p(i));
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_LT(*seen.rbegin(), count);
}

// Where each of 24 items lands under 20,000 keys: chi-squared of 23 degrees, far beyond its 1 in a million.
TEST(Permutation, PutsEachItemAnywhere) {
  constexpr size_t count = 24, keys = 20000;
  std::vector<std::vector<double>> landed(count, std::vector<double>(count));
  for (uint32_t key = 0; key < keys; key++) {
    const Permutation p(count, {key, 9, 8, 7});
    for (size_t i = 0; i < count; i++) landed[i][p(i)]++;
  }
  for (size_t i = 0; i < count; i++) {
    double chi = 0;
    for (double n : landed[i]) chi += (n - keys / 24.0) * (n - keys / 24.0) / (keys / 24.0);
    EXPECT_LT(chi, 75) << "item " << i;
  }
}

TEST(Mixture, MeetsEachWindowOnceAnEpoch) {
  for (const auto& [documents, longest, context] : {std::tuple(50, 20, 8), std::tuple(3, 400, 16), std::tuple(200, 3, 64), std::tuple(1, 64, 64)}) {
    const TemporaryPath path("t");
    MixtureSource only = source("s", path, 30, static_cast<size_t>(documents), static_cast<size_t>(longest));
    if (only.stream.size() < static_cast<size_t>(context) + 1) only = source("s", path, 2, 10, static_cast<size_t>(longest));
    Mixture mixture({only}, static_cast<size_t>(context), 5);
    const uint64_t windows = mixture.windows(0), size = only.stream.size();
    ASSERT_EQ(windows, (size - 1) / static_cast<uint64_t>(context));
    std::vector<std::vector<uint64_t>> orders;
    for (uint64_t epoch = 0; epoch < 4; epoch++) {
      std::vector<uint64_t> order;
      for (const TrainingWindow& w : mixture.next(epoch, windows)) order.push_back(w.begin);
      std::vector<uint64_t> sorted = order;
      std::ranges::sort(sorted);
      for (size_t i = 1; i < sorted.size(); i++) ASSERT_EQ(sorted[i] - sorted[i - 1], static_cast<uint64_t>(context));
      ASSERT_LE(sorted.back() + static_cast<uint64_t>(context) + 1, size);
      orders.push_back(order);
    }
    EXPECT_EQ(mixture.drawn(0), 4 * windows);
    if (windows > 8) {
      EXPECT_NE(orders[0], orders[1]);
    }
  }
}

// What no window of an epoch has is before the first or behind the last, now here and now there.
TEST(Mixture, LeavesNoIdOutForEver) {
  const TemporaryPath path("t");
  const MixtureSource only = source("s", path, 12, 20, 20);
  const uint64_t size = only.stream.size(), context = 31;
  ASSERT_GT((size - 1) % context, 3u);
  Mixture mixture({only}, context, 5);
  std::vector<bool> seen(size);
  for (uint64_t epoch = 0; epoch < 300; epoch++)
    for (const TrainingWindow& w : mixture.next(epoch, mixture.windows(0)))
      for (uint64_t i = 0; i <= context; i++) seen[w.begin + i] = true;
  EXPECT_EQ(std::ranges::count(seen, true), static_cast<ptrdiff_t>(size));
}

TEST(Mixture, ReadsTheWindowsOfItsSource) {
  const TemporaryPath path("t");
  const auto documents = random_documents(8, 60, 25);
  const auto file = write_documents(path, documents);
  const std::vector<int32_t> all = joined(documents);
  Mixture mixture({{"s", "d", TokenStream(file, documents_of(*file, 0, DocumentPart::training, {})), 1}}, 12, 3);
  for (const TrainingWindow& w : mixture.next(0, 100)) {
    std::vector<int32_t> ids(13);
    mixture.read(w, ids);
    ASSERT_TRUE(std::equal(ids.begin(), ids.end(), all.begin() + static_cast<ptrdiff_t>(w.begin)));
  }
}

TEST(Mixture, ChoosesSourcesByTheirWeights) {
  const TemporaryPath a("a"), b("b"), c("c"), d("d");
  MixtureSource second = source("b", b, 2, 40, 30, 1.5);
  second.domain = "a's domain";
  Mixture mixture({source("a", a, 1, 20, 30, 3), second, source("c", c, 3, 20, 30, 0), source("d", d, 4, 20, 30, 0.5)}, 8, 11);
  EXPECT_EQ(mixture.domains(), (std::vector<std::string>{"a's domain", "c's domain", "d's domain"}));
  const auto check = [&](uint64_t from, const std::vector<double>& shares) {
    const size_t steps = 2000, slots = 10;
    std::vector<double> counts(4);
    for (uint64_t step = from; step < from + steps; step++)
      for (const TrainingWindow& w : mixture.next(step, slots)) {
        counts[w.source]++;
        ASSERT_EQ(mixture.domains()[w.domain], mixture.sources()[w.source].domain);
      }
    const double n = steps * slots;
    for (size_t i = 0; i < 4; i++) EXPECT_NEAR(counts[i], n * shares[i], 5 * std::sqrt(n * shares[i] * (1 - shares[i]))) << i;
  };
  check(0, {0.6, 0.3, 0, 0.1});
  mixture.set_weights(std::vector<double>{0, 1, 1, 2});
  check(5000, {0, 0.25, 0.25, 0.5});
}

TEST(Mixture, GoesOnTheSameAfterARestore) {
  const TemporaryPath a("a"), b("b");
  const std::vector<MixtureSource> sources = {source("a", a, 1, 20, 30, 3), source("b", b, 2, 6, 30, 1)};
  const auto weights = [](uint64_t step) { return std::vector<double>{3, 0.1 * static_cast<double>(step)}; };
  Mixture straight(sources, 8, 11);
  std::vector<std::vector<TrainingWindow>> want;
  std::vector<std::string> states;
  for (uint64_t step = 0; step < 60; step++) {
    states.push_back(straight.state().dump());
    straight.set_weights(weights(step));
    want.push_back(straight.next(step, 4));
  }
  for (uint64_t from : {0, 1, 17, 59}) {
    Mixture resumed(sources, 8, 11);
    resumed.restore(nlohmann::json::parse(states[from]), "state.json");
    for (uint64_t step = from; step < 60; step++) {
      resumed.set_weights(weights(step));
      const auto got = resumed.next(step, 4);
      for (size_t i = 0; i < 4; i++) {
        ASSERT_EQ(got[i].source, want[step][i].source) << "step " << step;
        ASSERT_EQ(got[i].begin, want[step][i].begin) << "step " << step;
      }
    }
    EXPECT_EQ(resumed.state(), straight.state());
  }
}

TEST(Mixture, SeedsAndContextsGiveOtherOrders) {
  const TemporaryPath a("a");
  const auto s = source("a", a, 1, 60, 30);
  const auto order = [&](size_t context, uint64_t seed) {
    std::vector<uint64_t> out;
    for (const TrainingWindow& w : Mixture({s}, context, seed).next(0, 20)) out.push_back(w.begin);
    return out;
  };
  EXPECT_EQ(order(8, 1), order(8, 1));
  EXPECT_NE(order(8, 1), order(8, 2));
}

TEST(Mixture, RefusesAStateOfOtherDataOrNone) {
  const TemporaryPath a("a"), b("b");
  const auto one = source("a", a, 1, 20, 30), two = source("b", b, 2, 20, 30);
  const auto good = Mixture({one, two}, 8, 11).state();
  Mixture mixture({one, two}, 8, 11);
  mixture.next(0, 9);
  const auto before = mixture.state();
  auto renamed = two;
  renamed.name = "c";
  EXPECT_THROW(Mixture({one}, 8, 11).restore(good, "state.json"), Error);
  EXPECT_THROW(Mixture({two, one}, 8, 11).restore(good, "state.json"), Error);
  EXPECT_THROW(Mixture({one, renamed}, 8, 11).restore(good, "state.json"), Error);
  EXPECT_THROW(Mixture({one, two}, 9, 11).restore(good, "state.json"), Error);
  EXPECT_THROW(Mixture({one, two}, 8, 12).restore(good, "state.json"), Error);
  for (const char* bad : {"null", "[]", "3", "{}", R"({"context": 8, "seed": 11})", R"({"context": "8", "seed": 11, "sources": []})",
                          R"({"context": 8, "seed": 11, "sources": [1, 2]})", R"({"context": 8, "seed": 11, "sources": {"a": 1, "b": 2}})"})
    EXPECT_THROW(mixture.restore(nlohmann::json::parse(bad), "state.json"), Error) << bad;
  for (const char* key : {"name", "fingerprint", "drawn"}) {
    auto bad = good;
    bad["sources"][1].erase(key);
    EXPECT_THROW(mixture.restore(bad, "state.json"), Error) << key;
    bad["sources"][1][key] = nlohmann::json::array();
    EXPECT_THROW(mixture.restore(bad, "state.json"), Error) << key;
  }
  EXPECT_EQ(mixture.state(), before);  // what is refused changes nothing
}

TEST(Mixture, RefusesSourcesThatHaveNoWindowAndWeightsThatAreNone) {
  const TemporaryPath a("a");
  const auto s = source("a", a, 1, 3, 10);
  EXPECT_THROW(Mixture({}, 8, 1), Error);
  EXPECT_THROW(Mixture({s}, 0, 1), Error);
  EXPECT_THROW(Mixture({s}, s.stream.size(), 1), Error);
  EXPECT_EQ(Mixture({s}, s.stream.size() - 1, 1).windows(0), 1u);
  for (double weight : {-1.0, 0.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    auto bad = s;
    bad.weight = weight;
    EXPECT_THROW(Mixture({bad}, 4, 1), Error) << weight;
  }
}

}  // namespace
}  // namespace moiety
