// Whole models: gradients against differences of their losses, and heads against their definitions.
#include "learn/model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace moiety {
namespace {

constexpr int64_t length = 6, rows = 2 * length, vocabulary = 11;

class Models : public testing::Test {
 protected:
  // All experts serve every row, so that no choice jumps between two losses.
  void build(const std::string& text, int blocks = 2) {
    const Description description = Description::parse("d = 8\ncontext = 6\nblocks = " + std::to_string(blocks) + "\ndeviation = 0.4\n" + text, "test");
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

// Once with queries of a low rank, once without; on the way into the latent space keys and values share it.
TEST_F(Models, LatentAttention) {
  build(R"t(
[[block]]
attention = {kind = "latent", heads = 2, kv_rank = 5, q_rank = 7, head = 3, rope_head = 4, value_head = 6}
ffn = {kind = "dense", width = 6}
[[block]]
attention = {kind = "latent", heads = 3, kv_rank = 4, head = 2, rope_head = 2, value_head = 3}
ffn = {experts = 3, width = 4, routing = "sigmoid | top_k(3) | renorm", shared = {width = 5}}
)t");
  check_gradients();
}

// What models have that a run may start from.
TEST_F(Models, NormsElsewhereAndScales) {
  build(R"t(
norms = "sandwich"
embedding_scale = 2.5
residual_scale = 0.5
logit_scale = 0.7
[[block]]
attention = {heads = 2, qk_norm = "per_head", norm_after_rope = true, rotated = 2, scale = 0.3}
ffn = {kind = "dense", width = 6}
[[block]]
attention = {heads = 2, rotated = 0, gate = "per_element"}
ffn = {experts = 3, width = 4, routing = "softmax | top_k(3)", shared = {width = 5}, output_scale = 0.5}
)t");
  check_gradients();
}

TEST_F(Models, LayerNormsBesideEachOther) {
  build(R"t(
norms = "parallel"
layer_norm = true
norm_bias = true
[[block]]
attention = {heads = 2, kv_heads = 1, clip = 0.8}
ffn = {experts = 3, width = 4, routing = "top_k(3) | sigmoid"}
)t");
  check_gradients();
}

TEST_F(Models, ConvolutionsSinksAndBiases) {
  build(R"t(
head_bias = true
[[block]]
attention = {kind = "short_convolution", taps = 3, bias = true}
ffn = {kind = "dense", width = 6, activation = "gelu_tanh", bias = true}
[[block]]
attention = {heads = 2, sinks = true, chunk = 4, temperature_floor = 2, temperature_scale = 0.5, qk_norm = "l2"}
ffn = {experts = 3, width = 4, routing = "top_k(3) | softmax", activation = "clamped", activation_limit = 7, activation_alpha = 1.7, bias = true, router_bias = true, shared = {width = 5}, shared_bias = true}
)t");
  check_gradients();
}

TEST_F(Models, DeltaNets) {
  build(R"t(
[[block]]
attention = {kind = "delta_net", key_heads = 1, value_heads = 2, key_size = 3, value_size = 4, taps = 3}
ffn = {kind = "dense", width = 6}
[[block]]
attention = {kind = "delta_net", key_heads = 2, value_heads = 2, key_size = 3, value_size = 3, taps = 2, by_channel = true, lower_bound = -5}
ffn = {kind = "dense", width = 6}
[[block]]
attention = {heads = 2, gate = "in_query", qk_norm = "per_head"}
ffn = {kind = "dense", width = 6}
)t", 3);
  check_gradients();
}

TEST_F(Models, ExpertsOfAttentionAndAside) {
  build(R"t(
[[block]]
attention = {kind = "expert_attention", experts = 3, heads = 2, head = 4, routing = "top_k(3) | softmax", output_bias = true, router_bias = true}
ffn = {kind = "dense", width = 6}
aside = {after = 1, experts = [{count = 2, width = 5}, {kind = "copy"}], routing = "softmax | top_k(3)", output_bias = true}
[[block]]
attention = {kind = "latent", heads = 2, kv_rank = 5, head = 3, rope_head = 4, value_head = 6, gate = true, q_latent_scale = 1.5, kv_latent_scale = 0.7}
ffn = {kind = "dense", width = 6}
)t");
  check_gradients();
}

TEST_F(Models, WeightsOnInputsAndOtherUnits) {
  build(R"t(
[[block]]
attention = {heads = 2}
ffn = {experts = 3, width = 4, routing = "top_k(3) | sigmoid", activation = "gelu", weight_on_input = true}
[[block]]
attention = {heads = 2}
ffn = {kind = "dense", width = 6, activation = "relu_squared"}
)t");
  check_gradients();
}

TEST_F(Models, NormsAfterwards) {
  build(R"t(
norms = "post"
[[block]]
attention = {kind = "latent", heads = 2, kv_rank = 5, q_rank = 7, head = 3, rope_head = 4, value_head = 6, bias = true, scale = 0.5}
ffn = {kind = "dense", width = 6}
)t");
  check_gradients();
}

const char* const multi_token = R"t(
head = {kind = "multi_token", ahead = 2, weight = 0.6, block = {attention = {heads = 4}, ffn = {experts = 3, width = 4, routing = "softmax | top_k(3)"}}}
[[block]]
attention = {heads = 2}
ffn = {kind = "dense", width = 6}
)t";

TEST_F(Models, MultiTokenGradients) {
  build(multi_token);
  check_gradients();
}

// DeepSeek-V3, eqs. 21 to 24, at the first weights: norms multiply by 1 there, so that the last norm's rows serve where the sums before it do.
TEST_F(Models, MultiTokenAgainstItsDefinition) {
  build(multi_token);
  const at::NoGradGuard no_graph;
  TrainingStep step{pass_};
  model_->forward({rows, length, ids_, 1}, targets_, step);
  ASSERT_EQ(step.losses.size(), 2u);

  const auto value = [&](const std::string& name) { return std::ranges::find(arena_.parameters(), name, &Parameter::name)->value; };
  const Description block = Description::parse("attention = {heads = 4}\nffn = {experts = 3, width = 4, routing = \"softmax | top_k(3)\"}", "test");
  const at::Tensor table = value("token_embd.weight"), ones = at::ones({8});
  TrainingStep again{pass_};
  again.training = false;
  at::Tensor hidden = model_->hidden({rows, length, ids_, 1}, again);
  for (int64_t depth = 1; depth <= 2; depth++) {
    SCOPED_TRACE(depth);
    const std::string prefix = "blk." + std::to_string(depth + 1) + ".";
    Arena other;
    BlockStack stack;
    const PartSite site{prefix, static_cast<uint32_t>(depth + 1), 8, length, vocabulary, 0.4f, 1e-5f, other};
    stack.append(block.root(), site);
    const Norm last(site, "nextn.shared_head_norm");
    other.finish(1, workers_);
    for (Parameter& p : other.parameters()) p.value.copy_(value(p.name));
    // Row i sees the token that comes `depth` after its own, which is the target of the row `depth` - 1 after it.
    std::vector<int32_t> seen(rows), wanted(rows, -1);
    for (int64_t i = 0; i < rows; i++) {
      const auto target = [&](int64_t after) { return (i % length) + after < length ? targets_.data_ptr<int32_t>()[i + after] : -1; };
      seen[static_cast<size_t>(i)] = std::max(target(depth - 1), 0), wanted[static_cast<size_t>(i)] = target(depth);
    }
    const at::Tensor embedded = at::index_select(table, 0, at::tensor(seen, at::kInt));
    const at::Tensor both = at::cat({plain_rms_norm(embedded, ones, 1e-5f), plain_rms_norm(hidden, ones, 1e-5f)}, 1);
    Pass pass{workers_, &other, {}};
    TrainingStep beside{pass};
    const SumAndNorm y = stack.forward(at::matmul(both, value(prefix + "nextn.eh_proj.weight").t()), last, {rows, length, at::tensor(seen, at::kInt), 1}, beside);
    const double expected = plain_head_loss(y.normed, table, at::tensor(wanted, at::kInt), 0).loss.item<double>() * 0.6 / 2;
    const auto& [name, loss] = step.losses[static_cast<size_t>(depth - 1)];
    EXPECT_EQ(name, "token_" + std::to_string(depth + 1));
    EXPECT_NEAR(loss.item<double>(), expected, 2e-4 * expected);
    hidden = y.sum;
  }
}

// Evaluations and what is exported are of the model without the depths.
TEST_F(Models, MultiTokenServesTrainingAlone) {
  build(multi_token);
  const at::NoGradGuard no_graph;
  TrainingStep step{pass_};
  step.training = false;
  const double nll = model_->forward({rows, length, ids_, 1}, targets_, step).loss.item<double>();
  EXPECT_TRUE(step.losses.empty() && step.sites.empty());
  Arena arena;
  const Description plain = Description::parse("d = 8\ncontext = 6\nblocks = 2\ndeviation = 0.4\n[[block]]\nattention = {heads = 2}\nffn = {kind = \"dense\", width = 6}", "test");
  LanguageModel model(plain.root(), vocabulary, arena);
  arena.finish(7, workers_);
  Pass pass{workers_, &arena, {}};
  TrainingStep other{pass};
  EXPECT_EQ(model.forward({rows, length, ids_, 1}, targets_, other).loss.item<double>(), nll);
  EXPECT_EQ(model.active_parameters(), model_->active_parameters());
}

TEST_F(Models, HeadsAndInputsAreNamed) {
  const auto refused = [&](const std::string& head, const std::string& words) {
    Arena arena;
    const Description description = Description::parse("d = 8\ncontext = 6\nblocks = 1\n" + head + "\n[[block]]\nattention = {heads = 2}\nffn = {kind = \"dense\", width = 6}", "test");
    try {
      const LanguageModel model(description.root(), vocabulary, arena);
      description.check_all_read();
      ADD_FAILURE() << "accepted: " << head;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
    }
  };
  refused("head = {kind = \"none\"}", "there are vocabulary, multi_token");
  refused("head = {kind = \"multi_token\", ahead = 0}", "from 1 to 16");
  refused("head = {kind = \"multi_token\", ahed = 1}", "did you mean 'ahead'");
  refused("head = {kind = \"multi_token\", block = {attention = {heads = 2}}}", "'ffn' is missing");
  refused("input = {kind = \"pixels\"}", "there are tokens");
}

}  // namespace
}  // namespace moiety
