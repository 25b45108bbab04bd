// Gradients of whole models against differences of their losses.
#include "learn/model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace moiety {
namespace {

constexpr int64_t length = 6, rows = 2 * length, vocabulary = 11;

class Models : public testing::Test {
 protected:
  // All experts serve every row, so that no choice jumps between two losses.
  void build(const std::string& text) {
    const Description description = Description::parse("d = 8\ncontext = 6\nblocks = 2\ndeviation = 0.4\n" + text, "test");
    model_ = std::make_unique<LanguageModel>(description.root(), vocabulary, arena_);
    description.check_all_read();
    arena_.finish(7, workers_);
    std::vector<int32_t> ids, targets;
    for (uint64_t i = 0; i < rows; i++) {
      ids.push_back(static_cast<int32_t>(uniform(3, i, RandomStream::shuffle, 0) * vocabulary));
      targets.push_back(static_cast<int32_t>(uniform(3, i, RandomStream::shuffle, 1) * vocabulary));
    }
    targets[4] = -1;
    ids_ = at::tensor(ids, at::kInt), targets_ = at::tensor(targets, at::kInt);
  }

  at::Tensor loss() {
    TrainingStep step{pass_};
    at::Tensor sum = model_->forward({rows, length, ids_, 1}, targets_, step).loss;
    for (const auto& [name, more] : step.losses) sum = sum + more;
    return sum;
  }

  // Along each parameter's own gradient the loss grows as fast as the gradient is long.
  void check_gradients() {
    arena_.begin_step();
    loss().backward();
    arena_.end_step();
    const std::vector<float> gradients(arena_.gradients(), arena_.gradients() + arena_.size());
    for (const Parameter& p : arena_.parameters()) {
      const float* g = gradients.data() + p.at;
      double norm = 0;
      for (size_t i = 0; i < p.count; i++) norm += static_cast<double>(g[i]) * g[i];
      norm = std::sqrt(norm);
      ASSERT_GT(norm, 1e-4) << p.name;
      const double step = std::min(0.02, 0.002 / norm);
      const auto moved = [&](double by) {
        float* w = arena_.values() + p.at;
        const std::vector<float> before(w, w + p.count);
        for (size_t i = 0; i < p.count; i++) w[i] += static_cast<float>(by * g[i] / norm);
        const double out = loss().item<double>();
        std::ranges::copy(before, w);
        return out;
      };
      const double slope = (moved(step) - moved(-step)) / (2 * step);
      EXPECT_NEAR(slope / norm, 1, 0.02) << p.name << ": a gradient of length " << norm;
    }
  }

  Workers workers_{2};
  Arena arena_;
  Pass pass_{workers_, &arena_, {}};
  std::unique_ptr<LanguageModel> model_;
  at::Tensor ids_, targets_;
};

TEST_F(Models, RoutersThatTakeScores) {
  build(R"t(
[[block]]
attention = {heads = 2, qk_norm = "per_head"}
ffn = {experts = [{count = 3, width = 5}, {kind = "constant"}], routing = "softmax | top_k(4)", balance = "switch_aux(0.1, 0.5) | z_loss(0.01)", gating_residual = true}
)t");
  const auto shape = [&](const std::string& name) {
    const auto p = std::ranges::find(arena_.parameters(), name, &Parameter::name);
    return p == arena_.parameters().end() ? std::vector<int64_t>() : p->shape;
  };
  EXPECT_EQ(shape("blk.0.ffn_gate_inp.prev.weight"), std::vector<int64_t>());
  EXPECT_EQ(shape("blk.1.ffn_gate_inp.prev.weight"), (std::vector<int64_t>{4, 4}));
  check_gradients();
}

}  // namespace
}  // namespace moiety
