#include "learn/ffn_variant.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/sigmoid.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace moiety {
namespace {

struct Unit {
  const char* name;
  at::Tensor (*of)(const at::Tensor& gate);
};
constexpr Unit units[] = {{"gelu", [](const at::Tensor& x) { return at::gelu(x); }},
                          {"gelu_tanh", [](const at::Tensor& x) { return at::gelu(x, "tanh"); }},
                          {"gelu_quick", [](const at::Tensor& x) { return x * at::sigmoid(1.702 * x); }},
                          {"relu", [](const at::Tensor& x) { return at::relu(x); }},
                          {"relu_squared", [](const at::Tensor& x) { return at::relu(x) * at::relu(x); }}};

}  // namespace

FfnVariant read_ffn_variant(const Table& t, std::string_view bias_key) {
  FfnVariant out{t.text("activation", "silu"), t.number("activation_limit", 0), t.number("activation_alpha", 1), t.flag(bias_key, false)};
  if (out.activation != "silu" && out.activation != "clamped" && std::ranges::find(units, out.activation, &Unit::name) == std::end(units))
    t.wrong("activation", "silu, gelu, gelu_tanh, gelu_quick, relu, relu_squared or clamped is expected");
  return out;
}

ExpertFunction gated_function(const FfnVariant& v) {
  const auto halves = [](const at::Tensor& inner, auto f) {
    const int64_t width = inner.size(-1) / 2;
    return f(inner.narrow(-1, 0, width), inner.narrow(-1, width, width));
  };
  if (v.activation == "silu") return swiglu_function;
  if (v.activation == "clamped")
    return {nullptr, [=](const at::Tensor& inner) {
              return halves(inner, [&](const at::Tensor& gate, const at::Tensor& up) {
                const at::Tensor g = at::clamp(gate, {}, v.limit);
                return g * at::sigmoid(v.alpha * g) * (at::clamp(up, -v.limit, v.limit) + 1);
              });
            }};
  const Unit& unit = *std::ranges::find(units, v.activation, &Unit::name);
  return {nullptr, [=](const at::Tensor& inner) { return halves(inner, [&](const at::Tensor& gate, const at::Tensor& up) { return unit.of(gate) * up; }); }};
}

}  // namespace moiety
