#include "learn/block_stack.h"

#include "learn/facts.h"

namespace moiety {

void BlockStack::append(const Table& block, PartSite site) {
  arena_ = &site.arena, epsilon_ = site.epsilon;
  site.earlier_scores = scores_;
  const Table mixer = block.table("attention"), ffn = block.table("ffn");
  const size_t attention_norm = arena_->declare(site.prefix + "attn_norm.weight", {site.d}, {1, 0});
  layers_.push_back({attention_norm, named(mixer_parts(), mixer, "kind", "causal").build(mixer, site)});
  const size_t ffn_norm = arena_->declare(site.prefix + "ffn_norm.weight", {site.d}, {1, 0});
  layers_.push_back({ffn_norm, named(ffn_parts(), ffn, "kind", "moe").build(ffn, site)});
  if (const int64_t here = layers_.back().part->router_scores()) scores_ = here;
}

SumAndNorm BlockStack::forward(at::Tensor x, const at::Tensor& last, const RowContext& rows, TrainingStep& step) {
  at::Tensor y;  // still to be added to x
  const auto next = [&](const at::Tensor& norm) {
    if (!y.defined()) return rms_norm(x, norm, epsilon_, step.pass);
    const SumAndNorm both = add_and_norm(x, y, norm, epsilon_, step.pass);
    x = both.sum;
    return both.normed;
  };
  for (Layer& layer : layers_) y = layer.part->forward(next(arena_->value(layer.norm)), rows, step);
  const at::Tensor normed = next(last);
  return {x, normed};
}

void BlockStack::after_step(const TrainingStep& step) {
  for (Layer& layer : layers_) layer.part->after_step(step);
}

void BlockStack::see_text(std::span<const uint64_t> tokens, uint64_t seed) {
  for (Layer& layer : layers_) layer.part->see_text(tokens, seed);
}

std::vector<std::pair<std::string, std::span<float>>> BlockStack::buffers() {
  std::vector<std::pair<std::string, std::span<float>>> out;
  for (Layer& layer : layers_) std::ranges::copy(layer.part->buffers(), std::back_inserter(out));
  return out;
}

size_t BlockStack::active_parameters() const {
  size_t out = 0;
  for (const Layer& layer : layers_) out += layer.part->active_parameters();
  return out;
}

PartFacts BlockStack::facts() const {
  PartFacts out;
  out.own = nlohmann::json::array();
  for (size_t i = 0; i < layers_.size(); i++) {
    const PartFacts part = layers_[i].part->facts();
    if (i % 2 == 0) out.own.push_back(nlohmann::json::object());
    const char* key = i % 2 == 0 ? "attention" : "ffn";
    out.own.back()[key] = part.own;
    const size_t block = i / 2;
    const bool first_experts = i % 2 == 1 && !part.routing.empty() && out.routing.empty();
    if (first_experts) out.dense_first = block;
    if (out.beyond.empty() && block > 0 && !first_experts && out.own[block - 1][key] != part.own) out.beyond = fmt::format("blocks that differ, as {} and {} do", block - 1, block);
    out.config.update(part.config);
    if (!part.qk_norm.empty()) out.qk_norm = part.qk_norm;
    out.latent |= part.latent;
    out.bias |= part.bias;
    if (!part.routing.empty()) out.routing = part.routing, out.shared_width = part.shared_width, out.shared_gate = part.shared_gate;
    if (!part.beyond.empty()) out.beyond = part.beyond;
  }
  return out;
}

}  // namespace moiety
