#include "gradients/cross_entropy.h"

#include "tests/gradients/numeric.h"
#include "tests/kernels/isa_test.h"

namespace moiety {
namespace {

using CrossEntropy = OnEveryIsa;

double plain(const HeadLoss& loss, const Doubles& x, const Doubles& head, size_t d, size_t vocabulary) {
  double total = 0;
  for (size_t r = 0; r < loss.targets.size(); r++) {
    if (loss.targets[r] < 0) continue;
    double sum = 0, of_target = 0;
    for (size_t v = 0; v < vocabulary; v++) {
      double z = 0;
      for (size_t i = 0; i < d; i++) z += x[r * d + i] * head[v * d + i];
      sum += std::exp(z);
      if (static_cast<int32_t>(v) == loss.targets[r]) of_target = z;
    }
    const double log_sum = std::log(sum);
    total += loss.scale * (log_sum - of_target + loss.z_loss * log_sum * log_sum);
  }
  return total;
}

TEST_F(CrossEntropy, LossesAndGradients) {
  Workers workers(2);
  for (Precision precision : {Precision::f32, Precision::bf16}) on_every_isa([&] {
    const bool exact = precision == Precision::f32;
    const size_t rows = 11, d = 6, vocabulary = 37;
    const auto x = normal(rows * d), head = normal(vocabulary * d);
    std::vector<int32_t> targets(rows);
    for (int32_t& t : targets) t = static_cast<int32_t>(random_() % vocabulary);
    targets[3] = -1;
    const HeadLoss loss{targets, 0.1f, 0.03f, precision};
    GradientRoom room;
    std::vector<float> nll(rows), sums(rows), dx(rows * d), dh(head.size(), 2.0f), nll_alone(rows), sums_alone(rows);
    head_cross_entropy(loss, {x.data(), rows, d, d}, head.data(), vocabulary, nll.data(), sums.data(), {dx.data(), rows, d, d}, dh.data(), true, room, workers);
    head_losses(loss, {x.data(), rows, d, d}, head.data(), vocabulary, nll_alone.data(), sums_alone.data(), room, workers);
    EXPECT_EQ(nll, nll_alone);
    EXPECT_EQ(sums, sums_alone);
    double total = 0;
    for (size_t r = 0; r < rows; r++) total += loss.scale * (nll[r] + loss.z_loss * sums[r] * sums[r]);
    Doubles x_(doubles(x)), head_(doubles(head));
    const auto f = [&] { return plain(loss, x_, head_, d, vocabulary); };
    EXPECT_NEAR(total, f(), (exact ? 1e-5 : bf16_tolerance) * f());
    for (float& v : dh) v -= 2;
    expect_gradient(x_, dx, f, exact ? 2e-5 : bf16_tolerance);
    expect_gradient(head_, dh, f, exact ? 5e-5 : bf16_tolerance);
  });
}

TEST_F(CrossEntropy, ManyRowsInChunks) {
  Workers workers(2);
  const size_t rows = 1100, d = 4, vocabulary = 50;
  const auto x = normal(rows * d), head = normal(vocabulary * d);
  std::vector<int32_t> targets(rows);
  for (int32_t& t : targets) t = static_cast<int32_t>(random_() % vocabulary);
  GradientRoom room;
  std::vector<float> nll(rows), sums(rows), dx(rows * d), dh(head.size(), NAN), dh_parts(head.size(), 0.0f);
  const HeadLoss loss{targets, 1.0f};
  head_cross_entropy(loss, {x.data(), rows, d, d}, head.data(), vocabulary, nll.data(), sums.data(), {dx.data(), rows, d, d}, dh.data(), false, room, workers);
  for (size_t from = 0; from < rows; from += 275) {
    std::vector<float> part_nll(275), part_sums(275), part_dx(275 * d);
    const HeadLoss part{{targets.data() + from, 275}, 1.0f};
    head_cross_entropy(part, {x.data() + from * d, 275, d, d}, head.data(), vocabulary, part_nll.data(), part_sums.data(), {part_dx.data(), 275, d, d}, dh_parts.data(), true, room,
                       workers);
    EXPECT_EQ(part_nll, std::vector<float>(nll.begin() + from, nll.begin() + from + 275));
    EXPECT_EQ(part_dx, std::vector<float>(dx.begin() + from * d, dx.begin() + (from + 275) * d));
  }
  for (size_t i = 0; i < dh.size(); i++) ASSERT_NEAR(dh[i], dh_parts[i], 1e-4 * (1 + std::abs(dh[i])));
}

}  // namespace
}  // namespace moiety
