// Every function over our passes, in float32, against libtorch's autograd of its plain form in double.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <gtest/gtest.h>

#include "learn/function_attention.h"
#include "learn/function_bias.h"
#include "learn/function_experts.h"
#include "learn/function_head.h"
#include "learn/function_linear.h"
#include "learn/function_norm.h"
#include "learn/function_rope.h"
#include "learn/function_routing.h"
#include "routing/policy.h"
#include "tests/gradients/numeric.h"

namespace moiety {
namespace {

using Tensors = std::vector<at::Tensor>;

class Functions : public testing::Test {
 protected:
  Functions() { at::manual_seed(11); }

  static at::Tensor random(at::IntArrayRef shape) { return at::randn(shape, at::kDouble); }

  // Result and gradients, for a random gradient of the result, of ours in float and of the plain form in double.
  template <class Ours, class Plain>
  void same(const Tensors& inputs, Ours ours_, Plain plain, double tolerance = 1e-5) {
    Tensors doubles, floats;
    for (const at::Tensor& x : inputs) {
      floats.push_back(x.to(at::kFloat).requires_grad_(true));
      doubles.push_back(x.to(at::kFloat).to(at::kDouble).requires_grad_(true));
    }
    const at::Tensor expected = plain(doubles), result = ours_(floats);
    close(result, expected, tolerance, "result");
    const at::Tensor d = random(expected.sizes());
    const auto de = torch::autograd::grad({expected}, doubles, {d}), dr = torch::autograd::grad({result}, floats, {d.to(at::kFloat)});
    for (size_t i = 0; i < inputs.size(); i++) close(dr[i], de[i], tolerance, "gradient " + std::to_string(i));
  }

  static void close(const at::Tensor& a, const at::Tensor& b, double tolerance, const std::string& what) {
    ASSERT_EQ(a.sizes(), b.sizes()) << what;
    const double size = b.abs().max().item<double>(), error = (a.to(at::kDouble) - b).abs().max().item<double>();
    ASSERT_GT(size, 0) << what;
    ASSERT_TRUE(error <= tolerance * size) << what << ": " << error << " of " << size;
  }

  Workers workers_{2};
  Pass pass_{workers_, nullptr, {}};
};

TEST_F(Functions, Linears) {
  same({random({33, 20}), random({7, 20})}, [&](const Tensors& x) { return linear(x[0], x[1], pass_); }, [](const Tensors& x) { return plain_linear(x[0], x[1]); });
  pass_.precision = Precision::bf16;  // what doesn't ask for it stays as it is
  same({random({33, 20}), random({7, 20})}, [&](const Tensors& x) { return linear(x[0], x[1], pass_); }, [](const Tensors& x) { return plain_linear(x[0], x[1]); });
  same({random({5, 20}), random({7, 20}), random({3, 20})},
       [&](const Tensors& x) {
         const auto y = linears(x[0], {x[1], x[2]}, pass_);
         return at::cat({y[0], y[1]}, 1);
       },
       [](const Tensors& x) { return at::cat({plain_linear(x[0], x[1]), plain_linear(x[0], x[2])}, 1); });
}

// Of the largest number; and not exact by chance, or because nothing was rounded.
TEST_F(Functions, Bf16) {
  pass_.precision = Precision::bf16;
  same({random({33, 20}), random({7, 20})}, [&](const Tensors& x) { return linear(x[0], x[1], pass_, pass_.precision); },
       [](const Tensors& x) { return plain_linear(x[0], x[1]); }, bf16_tolerance);
  const auto slots = std::make_shared<ExpertSlots>(expert_slots(std::vector<int64_t>{0, 2, 2, 3, 6}, std::vector<int32_t>{0, 2, 2, 0, 1, 3}, 5));
  same({random({4, 10}), random({6}), random({5, 14, 10}), random({5, 10, 7})},
       [&](const Tensors& x) { return experts(swiglu_function, slots, x[0], x[1], {x[2], x[3]}, pass_); },
       [&](const Tensors& x) { return plain_experts(swiglu_function, *slots, x[0], x[1], {x[2], x[3]}); }, bf16_tolerance);
  const at::Tensor targets = at::tensor({3, 0, -1, 11, 3}, at::kInt);
  same({random({5, 8}), random({12, 8})}, [&](const Tensors& x) { return head_loss(x[0], x[1], targets, 0.01f, pass_).loss; },
       [&](const Tensors& x) { return plain_head_loss(x[0], x[1], targets, 0.01f).loss; }, bf16_tolerance);
  const CausalShape shape{2, 70, 4, 2, 6, 6, 0, 0.3f};
  same({random({140, 24}), random({140, 12}), random({140, 12})}, [&](const Tensors& x) { return attention(shape, x[0], x[1], x[2], pass_); },
       [&](const Tensors& x) { return plain_attention(shape, x[0], x[1], x[2]); }, bf16_tolerance);
  const at::Tensor x = at::randn({33, 20}), w = at::randn({7, 20}), expected = plain_linear(x, w);
  EXPECT_GT((linear(x, w, pass_, pass_.precision) - expected).abs().max().item<double>(), 1e-4 * expected.abs().max().item<double>());
}

TEST_F(Functions, Bias) {
  same({random({300, 70}), random({70})}, [&](const Tensors& x) { return add_bias(x[0], x[1], pass_); }, [](const Tensors& x) { return plain_add_bias(x[0], x[1]); });
}

TEST_F(Functions, Norms) {
  same({random({300, 20}), random({20})}, [&](const Tensors& x) { return rms_norm(x[0], x[1], 1e-3f, pass_); },
       [](const Tensors& x) { return plain_rms_norm(x[0], x[1], 1e-3f); });
  same({random({9, 20}), random({9, 20}), random({20})},
       [&](const Tensors& x) {
         const SumAndNorm y = add_and_norm(x[0], x[1], x[2], 1e-3f, pass_);
         return at::cat({y.sum, y.normed}, 1);
       },
       [](const Tensors& x) { return at::cat({x[0] + x[1], plain_rms_norm(x[0] + x[1], x[2], 1e-3f)}, 1); });
}

TEST_F(Functions, Rope) {
  const RopeTable table = rope_table(16, 6, 100);
  same({random({24, 18})}, [&](const Tensors& x) { return rope(x[0], table, 12, 6, pass_); }, [&](const Tensors& x) { return plain_rope(x[0], table, 12, 6); });
  for (int64_t at : {0, 1, 3})  // 6 of 9 numbers of a head
    same({random({24, 18})}, [&](const Tensors& x) { return rope(x[0], table, 12, 9, pass_, at); }, [&](const Tensors& x) { return plain_rope(x[0], table, 12, 9, at); });
}

TEST_F(Functions, Attention) {
  for (size_t window : {0, 5}) {
    const CausalShape shape{2, 70, 4, 2, 6, 6, window, 0.3f};
    same({random({140, 24}), random({140, 12}), random({140, 12})}, [&](const Tensors& x) { return attention(shape, x[0], x[1], x[2], pass_); },
         [&](const Tensors& x) { return plain_attention(shape, x[0], x[1], x[2]); });
    const CausalShape wide{2, 70, 4, 2, 6, 9, window, 0.3f};  // values of another size
    same({random({140, 24}), random({140, 12}), random({140, 18})}, [&](const Tensors& x) { return attention(wide, x[0], x[1], x[2], pass_); },
         [&](const Tensors& x) { return plain_attention(wide, x[0], x[1], x[2]); });
  }
}

TEST_F(Functions, Experts) {
  const std::vector<int64_t> first{0, 2, 2, 3, 6};
  const std::vector<int32_t> expert{0, 2, 2, 0, 1, 3};
  const auto slots = std::make_shared<ExpertSlots>(expert_slots(first, expert, 5));  // the last one serves nobody
  for (const ExpertFunction* f : {&swiglu_function, &gelu_function, &relu_function}) {
    const int64_t wide = 7 * static_cast<int64_t>(f->form->inner);
    same({random({4, 10}), random({6}), random({5, wide, 10}), random({5, 10, 7})},
         [&](const Tensors& x) { return experts(*f, slots, x[0], x[1], {x[2], x[3]}, pass_); },
         [&](const Tensors& x) { return plain_experts(*f, *slots, x[0], x[1], {x[2], x[3]}); });
  }
}

TEST_F(Functions, HeadLoss) {
  const at::Tensor targets = at::tensor({3, 0, -1, 11, 3}, at::kInt);
  same({random({5, 8}), random({12, 8})}, [&](const Tensors& x) { return head_loss(x[0], x[1], targets, 0.01f, pass_).loss; },
       [&](const Tensors& x) { return plain_head_loss(x[0], x[1], targets, 0.01f).loss; });
  const at::Tensor x = at::randn({5, 8}), head = at::randn({12, 8});
  const HeadResult ours = head_loss(x, head, targets, 0.01f, pass_), plain = plain_head_loss(x, head, targets, 0.01f);
  close(ours.nll, plain.nll.to(at::kDouble), 1e-5, "losses of the rows");
  close(ours.log_sums, plain.log_sums.to(at::kDouble), 1e-5, "their log sums");
}

TEST_F(Functions, Embedding) {
  const at::Tensor ids = at::tensor({3, 0, 3, 7}, at::kInt);
  same({random({9, 5})}, [&](const Tensors& x) { return embedding(ids, x[0], pass_); }, [&](const Tensors& x) { return at::index_select(x[0], 0, ids.to(at::kLong)); });
}

TEST_F(Functions, Routing) {
  const std::string text = "softmax | top_k(3) | renorm";
  const Pipeline pipeline = RoutingPolicy::parse(text).bind({0, 0, 8, {}, 0}, text);
  same({random({130, 8})}, [&](const Tensors& x) { return route(pipeline, x[0], x[0], {}, pass_).weight; },
       [&](const Tensors& x) {
         const at::Tensor p = at::softmax(x[0], -1);
         const auto [top, index] = p.topk(3, -1);
         const at::Tensor order = index.argsort(-1, false), weights = (top / top.sum(-1, true)).gather(1, order);
         return weights.reshape({-1});
       });
}

// Where rows stand among others: in chunks, sequences and threads, and with a stage that sees them all.
TEST_F(Functions, RoutingKnowsSequencesAndDropsAcrossRows) {
  const std::vector<float> table{5, 0, 3, 7};
  StageSite site{0, 0, 8, {[&](std::string_view) { return std::span<const float>(table); }}, 0};
  const int64_t length = 50, rows = 4 * length;
  const at::Tensor x = at::randn({rows, 8}), ids = at::randint(0, 4, {rows}, at::kInt);
  const Pipeline hash = RoutingPolicy::parse("hash(previous)").bind(site, "");
  const RoutedRows hashed = route(hash, {}, x, {0, 0, length, ids, 0}, pass_);
  ASSERT_EQ(hashed.expert.size(), static_cast<size_t>(rows));
  for (int64_t r = 0; r < rows; r++) {
    const int64_t looked_at = r % length ? r - 1 : r;
    EXPECT_EQ(hashed.expert[static_cast<size_t>(r)], table[static_cast<size_t>(ids[looked_at].item<int>())]) << r;
    EXPECT_EQ(hashed.weight[r].item<float>(), 1);
  }
  // Random rows are the sequence's own, wherever it stands.
  const Pipeline random = RoutingPolicy::parse("random | top_k(2)").bind(site, "");
  const RoutedRows all = route(random, x, x, {0, 0, length, {}, 9}, pass_), last = route(random, x.narrow(0, 3 * length, length), x.narrow(0, 3 * length, length), {0, 0, length, {}, 12}, pass_);
  EXPECT_TRUE(std::equal(last.expert.begin(), last.expert.begin() + 2 * length, all.expert.begin() + 6 * length));
  // Load is what was chosen, also where capacity leaves rows without.
  const at::Tensor logits = x.clone();
  logits.select(1, 2).add_(2);
  const Pipeline capacity = RoutingPolicy::parse("softmax | top_k(2) | capacity(1)", Allow::training).bind(site, ""), free = RoutingPolicy::parse("softmax | top_k(2)").bind(site, "");
  const RoutedRows bounded = route(capacity, logits, x, {0, 0, length, {}, 0}, pass_), unbounded = route(free, logits, x, {0, 0, length, {}, 0}, pass_);
  EXPECT_EQ(bounded.load, unbounded.load);
  EXPECT_EQ(unbounded.dropped, 0);
  int64_t over = 0;
  for (int64_t load : bounded.load) over += std::max<int64_t>(load - 2 * rows / 8, 0);
  EXPECT_GT(over, 0);
  EXPECT_EQ(bounded.dropped, over);
  EXPECT_EQ(static_cast<int64_t>(bounded.expert.size()), 2 * rows - over);
}

TEST_F(Functions, ParametersGradientsGoToTheArenaAndAdd) {
  Arena arena;
  arena.declare("a", {4, 6}, {0, 1});
  arena.declare("b", {6, 6}, {0, 1});
  arena.declare("unused", {3}, {0, 1});
  arena.finish(1, workers_);
  Pass pass{workers_, &arena, {}};
  const at::Tensor x = at::randn({5, 6}), d = at::randn({5, 4});
  std::fill_n(arena.gradients(), arena.size(), NAN);
  arena.begin_step();
  for (int i = 0; i < 2; i++) linear(linear(x, arena.value(1), pass), arena.value(0), pass).backward(d);
  arena.end_step();
  const at::Tensor expected = at::matmul(d.t(), at::matmul(x, arena.value(1).t())) * 2;
  const Parameter& a = arena.parameters()[0];
  close(at::from_blob(arena.gradients() + a.at, {4, 6}), expected.to(at::kDouble).detach(), 1e-5, "twice the gradient");
  EXPECT_FALSE(a.value.grad().defined());
  for (size_t i = 0; i < 3; i++) EXPECT_EQ(arena.gradients()[arena.parameters()[2].at + i], 0);
}

// As on another device: the graph has its own values, libtorch its own gradients.
TEST_F(Functions, ParametersGradientsComeBackFromACopy) {
  Arena here, away;
  for (Arena* arena : {&here, &away}) {
    arena->declare("a", {4, 6}, {0, 1});
    arena->declare("b", {6, 6}, {0, 1});
    arena->declare("unused", {3}, {0, 1});
    arena->finish(1, workers_, arena == &away ? std::optional<at::Device>(at::kCPU) : std::nullopt);
    for (size_t i = 0; i < arena->size(); i++) arena->values()[i] += 0.5f;  // an optimiser's step
    std::fill_n(arena->gradients(), arena->size(), NAN);
  }
  const at::Tensor x = at::randn({5, 6}), d = at::randn({5, 4});
  for (int step = 0; step < 2; step++)  // what stood there before must not count
    for (Arena* arena : {&here, &away}) {
      Pass pass{workers_, arena, {}};
      arena->begin_step();
      for (int i = 0; i < 2; i++) linear(linear(x, arena->value(1), pass), arena->value(0), pass).backward(d);
      arena->end_step();
    }
  for (size_t i : {0, 1}) {
    const Parameter& p = here.parameters()[i];
    close(at::from_blob(away.gradients() + p.at, p.shape), at::from_blob(here.gradients() + p.at, p.shape).to(at::kDouble), 1e-6, p.name);
  }
  for (size_t i = 0; i < 3; i++) EXPECT_EQ(away.gradients()[away.parameters()[2].at + i], 0);
}

TEST_F(Functions, SecondDerivativesAreRefused) {
  const at::Tensor x = at::randn({5, 6}).requires_grad_(true), w = at::randn({4, 6}).requires_grad_(true);
  const at::Tensor y = linear(x, w, pass_).sum();
  EXPECT_THROW(torch::autograd::grad({y}, {x}, {}, true, true), Error);
}

}  // namespace
}  // namespace moiety
