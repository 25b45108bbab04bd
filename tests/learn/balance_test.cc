// Losses of a site's routing against their formulas, written out, and their gradients against differences; the table of hash.
#include "learn/balance.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <functional>

#include "learn/hash_table.h"
#include "routing/policy.h"

namespace moiety {
namespace {

constexpr int64_t experts = 6, length = 5, sequences = 3, rows = sequences * length;

Balance balance(const std::string& text) {
  static const Description description = Description::parse("balance = \"\"", "test.toml");
  return balances(text, description.root()).at(0);
}

class Balances : public testing::Test {
 protected:
  Balances() {
    at::manual_seed(5);
    logits_ = at::randn({rows, experts}, at::kDouble);
  }
  SiteRecord site(const at::Tensor& logits) {
    SiteRecord out{"blk.0", 0, static_cast<size_t>(experts), length, logits, {}, computing_};
    out.routed = route(pipeline_, logits_.to(at::kFloat), logits_.to(at::kFloat), {0, 0, length, {}, 0}, pass_);
    return out;
  }
  double p(int64_t row, int64_t e, bool sigmoid = false) {
    double sum = 0;
    const auto score = [&](int64_t j) {
      const double z = logits_[row][j].item<double>();
      return sigmoid ? 1 / (1 + std::exp(-z)) : std::exp(z);
    };
    for (int64_t j = 0; j < experts; j++) sum += score(j);
    return score(e) / sum;
  }
  bool chose(const SiteRecord& s, int64_t row, int64_t e) {
    for (int64_t i = s.routed.first[static_cast<size_t>(row)]; i < s.routed.first[static_cast<size_t>(row) + 1]; i++)
      if (s.routed.expert[static_cast<size_t>(i)] == e) return true;
    return false;
  }
  // The loss is what the formula says, and its gradient what the loss does.
  void check(const std::string& text, const std::function<double(const SiteRecord&)>& formula) {
    SCOPED_TRACE(text);
    const Balance b = balance(text);
    const at::Tensor logits = logits_.clone().requires_grad_(true);
    const at::Tensor loss = b.loss(site(logits));
    const double want = formula(site(logits));
    ASSERT_TRUE(std::abs(loss.item<double>() - want) <= 1e-6 * std::abs(want)) << loss.item<double>() << " instead of " << want;
    const at::Tensor gradient = torch::autograd::grad({loss}, {logits})[0];
    for (int64_t row : {int64_t{0}, rows - 1})
      for (int64_t e = 0; e < experts; e++) {
        const SiteRecord fixed = site(logits_);  // the choices stay
        const auto moved = [&](double by) {
          SiteRecord s = fixed;
          s.logits = logits_.clone();
          s.logits[row][e] += by;
          return b.loss(s).item<double>();
        };
        const double difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        ASSERT_TRUE(std::abs(gradient[row][e].item<double>() - difference) <= 1e-6 + 1e-4 * std::abs(difference)) << row << ", " << e;
      }
  }

  Workers workers_{2};
  Pass pass_{workers_, nullptr, {}};
  Pipeline pipeline_ = RoutingPolicy::parse("softmax | top_p(0.6)").bind({0, 0, experts, {}, 0}, "");
  at::Tensor logits_;
  std::vector<bool> computing_;  // all, where it is empty
};

TEST_F(Balances, SwitchAux) {
  check("switch_aux(0.3)", [&](const SiteRecord& s) {
    double sum = 0;
    for (int64_t e = 0; e < experts; e++) {
      double mean = 0;
      for (int64_t r = 0; r < rows; r++) mean += p(r, e) / rows;
      sum += mean * static_cast<double>(s.routed.load[static_cast<size_t>(e)]) / static_cast<double>(s.routed.expert.size());
    }
    return 0.3 * experts * sum;
  });
}

// Jin et al. 2024, "MoE++", the heterogeneous load balance loss.
TEST_F(Balances, SwitchAuxOfCheapExperts) {
  computing_ = {true, true, false, true, false, true};
  check("switch_aux(0.3, 0.25)", [&](const SiteRecord& s) {
    double sum = 0;
    for (int64_t e = 0; e < experts; e++) {
      double mean = 0;
      for (int64_t r = 0; r < rows; r++) mean += p(r, e) / rows;
      sum += (e == 2 || e == 4 ? 0.25 : 1) * mean * static_cast<double>(s.routed.load[static_cast<size_t>(e)]) / static_cast<double>(s.routed.expert.size());
    }
    return 0.3 * experts * sum;
  });
}

TEST_F(Balances, SequenceAux) {
  for (const bool sigmoid : {false, true})
    check(sigmoid ? "sequence_aux(0.3, score=sigmoid)" : "sequence_aux(0.3)", [&](const SiteRecord& s) {
      double sum = 0;
      for (int64_t q = 0; q < sequences; q++) {
        double choices = 0;
        for (int64_t r = q * length; r < (q + 1) * length; r++)
          for (int64_t e = 0; e < experts; e++) choices += chose(s, r, e);
        for (int64_t e = 0; e < experts; e++) {
          double mean = 0, chosen = 0;
          for (int64_t r = q * length; r < (q + 1) * length; r++) mean += p(r, e, sigmoid) / length, chosen += chose(s, r, e);
          sum += mean * chosen / choices / sequences;
        }
      }
      return 0.3 * experts * sum;
    });
}

TEST_F(Balances, Entropy) {
  check("entropy(0.3)", [&](const SiteRecord&) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++)
      for (int64_t e = 0; e < experts; e++) sum -= p(r, e) * std::log(p(r, e)) / rows;
    return 0.3 * sum;
  });
}

TEST_F(Balances, ZLoss) {
  check("z_loss(0.3)", [&](const SiteRecord&) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) {
      double exps = 0;
      for (int64_t e = 0; e < experts; e++) exps += std::exp(logits_[r][e].item<double>());
      sum += std::log(exps) * std::log(exps) / rows;
    }
    return 0.3 * sum;
  });
}

TEST(HashTable, IsBalancedByCountsOrDrawn) {
  std::vector<uint64_t> counts;
  uint64_t total = 0;
  for (uint64_t token = 0; token < 1000; token++) counts.push_back(100000 / (token + 7)), total += counts.back();  // as words are
  std::vector<float> balanced(1000), random(1000), again(1000);
  fill_hash_table(balanced, counts, 8, 1);
  fill_hash_table(random, {}, 8, 1);
  fill_hash_table(again, {}, 8, 2);
  EXPECT_NE(random, again);
  const auto loads = [&](const std::vector<float>& table) {
    std::vector<uint64_t> load(8);
    for (size_t token = 0; token < table.size(); token++) load.at(static_cast<size_t>(table[token])) += counts[token];
    return load;
  };
  for (uint64_t load : loads(balanced)) EXPECT_NEAR(static_cast<double>(load), static_cast<double>(total) / 8, 200);
  uint64_t worst = 0;
  for (uint64_t load : loads(random)) worst = std::max(worst, load);
  EXPECT_GT(worst, total / 8 + 1000);
}

}  // namespace
}  // namespace moiety
