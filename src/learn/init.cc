#include "learn/init.h"

#include <cmath>

namespace moiety {
namespace {

bool has(const Parameter& p, std::string_view part) { return p.name.find(part) != std::string::npos; }
// But not those from router to router, which are as large at any width.
bool is_matrix_of_block(const Parameter& p) { return p.name.starts_with("blk.") && p.name.ends_with(".weight") && p.shape.size() >= 2 && !has(p, "ffn_gate_inp.prev"); }
// To as many numbers at any width: routers, the gates of shared experts, the shares of constant ones.
bool is_output_of_block(const Parameter& p) { return is_matrix_of_block(p) && (has(p, "ffn_gate_inp") || has(p, "ffn_const")); }

void normal(const InitSite&, std::span<Parameter>) {}

// Matrices whose products are added to the residual, of which there are two a block.
void depth_scaled(const InitSite& site, std::span<Parameter> parameters) {
  const float scale = 1 / std::sqrt(2 * static_cast<float>(site.blocks));
  for (Parameter& p : parameters)
    if (has(p, "attn_output.") || has(p, "ffn_down")) p.initial.deviation *= scale;
}

// How a weight changes with the width, as its fan-in grows by `wider` from where the rate was tuned (table 3 of the paper, the columns of Adam): its
// deviation and rate. Decay is by the optimiser's rate alone, so it is divided by what the rate is multiplied with.
void scale(Parameter& p, double deviation, double rate) {
  p.initial.deviation *= static_cast<float>(deviation);
  for (Motion& m : p.motion) m.rate *= static_cast<float>(rate), m.decay /= static_cast<float>(rate);
}

// Number of heads, width of FFNs and d grow together; heads keep their size, so that the scale of their products stays.
void mup(const InitSite& site, std::span<Parameter> parameters) {
  const uint64_t base = site.table.count("mup_base");
  if (base == 0) site.table.wrong("mup_base", "it must not be 0");
  const double wider = static_cast<double>(site.d) / static_cast<double>(base);
  for (Parameter& p : parameters) {
    if (is_output_of_block(p)) scale(p, 1 / wider, 1 / wider);
    else if (is_matrix_of_block(p)) scale(p, 1 / std::sqrt(wider), 1 / wider);
  }
  // The multiplier 1 / wider of the logits, which an embedding that is the head, too, needs (table 8), stands in the norm before it: a weight that
  // is smaller by this and moves slower by this.
  const auto norm = std::ranges::find(parameters, "output_norm.weight", &Parameter::name);
  norm->initial.mean /= static_cast<float>(wider);
  scale(*norm, 1, 1 / wider);
}

constexpr InitInfo all[] = {
    {"normal", "all matrices alike, normal numbers of the deviation `deviation`", "", normal},
    {"depth_scaled", "smaller by sqrt(2 blocks) where a block adds to the residual", "Radford et al. 2019, GPT-2, section 2.3", depth_scaled},
    {"mup", "deviations and rates by the width, against `mup_base`: rates that were tuned there hold here", "Yang et al. 2022, arXiv 2203.03466, tables 3 and 8", mup}};

}  // namespace

std::span<const InitInfo> inits() { return all; }

}  // namespace moiety
