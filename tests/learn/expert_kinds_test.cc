// Every kind of expert, and those that every row uses: outputs and all gradients against the definitions in double under libtorch's autograd.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "learn/expert_groups.h"
#include "learn/shared_experts.h"

namespace moiety {
namespace {

constexpr int64_t d = 6, rows = 9;

const char* const description = R"(
experts = [{count = 3, kind = "swiglu", width = 5}, {count = 2, kind = "gelu"}, {kind = "zero"}, {kind = "copy"}, {count = 2, kind = "constant"}, {kind = "relu", width = 7}]
width = 4
shared = [{count = 2, width = 3, gate = true}, {kind = "gelu"}]
)";
// By id: its kind, its group, and its place there.
struct Expert {
  const char* kind;
  const char* suffix;
  int64_t at;
};
const Expert by_id[] = {{"swiglu", "_exps", 0},     {"swiglu", "_exps", 1},     {"swiglu", "_exps", 2},     {"gelu", "_exps.1", 0}, {"gelu", "_exps.1", 1},
                        {"zero", "_exps.2", 0},     {"copy", "_exps.3", 0},     {"constant", "_exps.4", 0}, {"constant", "_exps.4", 1}, {"relu", "_exps.5", 0}};

using Tensors = std::map<std::string, at::Tensor>;

at::Tensor unit(const std::string& kind, const at::Tensor& inner) {
  if (kind == "gelu") return inner * 0.5 * (1 + at::erf(inner / std::sqrt(2.0)));
  if (kind == "relu") return at::clamp_min(inner, 0);
  const int64_t width = inner.size(0) / 2;
  return at::silu(inner.narrow(0, 0, width)) * inner.narrow(0, width, width);
}

at::Tensor output(const Tensors& p, const Expert& e, const at::Tensor& x) {
  const std::string kind = e.kind;
  const auto of = [&](const std::string& part) { return p.at("blk.0." + part + e.suffix + ".weight")[e.at]; };
  if (kind == "zero") return at::zeros_like(x);
  if (kind == "copy") return x;
  if (kind == "constant") {
    const at::Tensor share = at::softmax(at::mv(of("ffn_const"), x), 0);
    return share[0] * x + share[1] * p.at("blk.0.ffn_const" + std::string(e.suffix) + ".bias")[e.at];
  }
  return at::mv(of("ffn_down"), unit(kind, at::mv(of(kind == "swiglu" ? "ffn_gate_up" : "ffn_up"), x)));
}

at::Tensor layer(const Tensors& p, const RoutedRows& routed, const at::Tensor& x, const at::Tensor& weight) {
  std::vector<at::Tensor> y;
  for (int64_t r = 0; r < rows; r++) {
    at::Tensor sum = at::sigmoid(at::mv(p.at("blk.0.ffn_gate_inp_shexp.weight"), x[r])) * output(p, {"swiglu", "_shexp", 0}, x[r]) + output(p, {"gelu", "_shexp.1", 0}, x[r]);
    for (int64_t i = routed.first[static_cast<size_t>(r)]; i < routed.first[static_cast<size_t>(r) + 1]; i++)
      sum = sum + weight[i] * output(p, by_id[routed.expert[static_cast<size_t>(i)]], x[r]);
    y.push_back(sum);
  }
  return at::stack(y);
}

void close(const at::Tensor& a, const at::Tensor& b, const std::string& what) {
  ASSERT_EQ(a.sizes(), b.sizes()) << what;
  const double size = b.abs().max().item<double>(), error = (a.to(at::kDouble) - b).abs().max().item<double>();
  ASSERT_GT(size, 0) << what;
  ASSERT_TRUE(error <= 1e-5 * size) << what << ": " << error << " of " << size;
}

// Rows with no choice, with one, with several; every expert serves somebody.
RoutedRows choices() {
  RoutedRows out;
  out.first = {0};
  for (int32_t r = 0; r < rows; r++) {
    for (int32_t e = 0; e < 10; e++)
      if (r && (e * 7 + r * 3) % 4 == 0) out.expert.push_back(e);
    out.first.push_back(static_cast<int64_t>(out.expert.size()));
  }
  out.slots = std::make_shared<ExpertSlots>(expert_slots(out.first, out.expert, 10));
  return out;
}

TEST(ExpertKinds, AllAgainstTheirDefinitions) {
  at::manual_seed(3);
  Workers workers(2);
  Arena arena;
  const Description text = Description::parse(description, "test.toml");
  const PartSite site{"blk.0.", 0, d, 16, 10, 0.5f, 1e-5f, arena};
  const ExpertGroups groups(read_experts(text.root()), {}, site);
  SharedExperts shared(text.root(), site);
  text.check_all_read();
  arena.finish(4, workers);
  std::fill_n(arena.gradients(), arena.size(), NAN);

  RoutedRows routed = choices();
  const int64_t slots = static_cast<int64_t>(routed.expert.size());
  const at::Tensor x = at::randn({rows, d}).requires_grad_(true), weight = at::randn({slots}).requires_grad_(true), dy = at::randn({rows, d});
  routed.weight = weight;
  Pass pass{workers, &arena, {}};
  arena.begin_step();
  const at::Tensor y = shared.add_to(groups.forward(routed, x, pass), x, pass);
  y.backward(dy);
  arena.end_step();

  Tensors p;
  std::vector<at::Tensor> leaves{x.detach().to(at::kDouble).requires_grad_(true), weight.detach().to(at::kDouble).requires_grad_(true)};
  for (const Parameter& one : arena.parameters()) leaves.push_back(p[one.name] = one.value.detach().to(at::kDouble).requires_grad_(true));
  const at::Tensor expected = layer(p, routed, leaves[0], leaves[1]);
  const auto plain = torch::autograd::grad({expected}, leaves, {dy.to(at::kDouble)});
  close(y, expected, "outputs");
  close(x.grad(), plain[0], "gradient of x");
  close(weight.grad(), plain[1], "gradient of the weights");
  for (size_t i = 0; i < arena.parameters().size(); i++) {
    const Parameter& one = arena.parameters()[i];
    close(at::from_blob(arena.gradients() + one.at, one.shape, at::kFloat), plain[i + 2], one.name);
  }
}

TEST(ExpertKinds, ParametersThatARowMeets) {
  Arena arena;
  const Description text = Description::parse(description, "test.toml");
  const PartSite site{"blk.0.", 0, d, 16, 10, 0.5f, 1e-5f, arena};
  const ExpertGroups groups(read_experts(text.root()), {}, site);
  const size_t expected[] = {3 * 5 * d, 3 * 5 * d, 3 * 5 * d, 2 * 4 * d, 2 * 4 * d, 0, 0, 3 * d, 3 * d, 2 * 7 * d};
  const bool computes[] = {true, true, true, true, true, false, false, false, false, true};
  ASSERT_EQ(groups.count(), 10);
  for (size_t e = 0; e < 10; e++) {
    EXPECT_EQ(groups.parameters(e), expected[e]) << e;
    EXPECT_EQ(groups.computing()[e], computes[e]) << e;
  }
  EXPECT_EQ(SharedExperts(text.root(), site).parameters(), 3 * 6 * d + d + 2 * 4 * d);
}

TEST(ExpertKinds, WrongListsAreNamed) {
  const auto refused = [](const std::string& text, const std::string& words) {
    const Description description = Description::parse(text, "test.toml");
    try {
      read_experts(description.root());
      ADD_FAILURE() << "accepted: " << text;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
    }
  };
  refused("experts = []\nwidth = 3", "must not be empty");
  refused("experts = [{kind = \"gelu\"}]", "'width' is missing");
  refused("experts = [{kind = \"gel\", width = 2}]", "there are swiglu, gelu, relu, zero, copy, constant");
  refused("experts = [{kind = \"zero\", count = 0}]", "must not be 0");
  refused("experts = [{kind = \"zero\", count = 900000}, {kind = \"copy\", count = 900000}]", "more than");
  refused("experts = 4\nwidth = 0", "must not be 0");
  refused("experts = [3]", "a list of tables is expected");
}

}  // namespace
}  // namespace moiety
