#include "learn/block_stack.h"

#include <ATen/TensorOperators.h>

#include "learn/facts.h"

namespace moiety {

void BlockStack::append(const PartInfo& part, const Table& table, PartSite site, Layer layer, const std::string& norm) {
  using Norms = BlockStyle::Norms;
  const Norms norms = site.style.norms;
  site.earlier_scores = scores_;
  if (!norm.empty() && norms != Norms::post && !layer.beside) layer.before.emplace(site, norm + "_norm");
  layer.part = part.build(table, site);
  if (!norm.empty() && (norms == Norms::post || norms == Norms::sandwich)) layer.after.emplace(site, norm + "_post_norm");
  if (const int64_t here = layer.part->router_scores()) scores_ = here;
  layers_.push_back(std::move(layer));
}

void BlockStack::append(const Table& block, const PartSite& site) {
  style_ = site.style;
  const auto layer = [&](bool beside, uint64_t later = 0) { return Layer{{}, {}, beside, blocks_, blocks_ + later, nullptr}; };
  const Table mixer = block.table("attention"), ffn = block.table("ffn");
  append(named(mixer_parts(), mixer, "kind", "causal"), mixer, site, layer(false), "attn");
  append(named(ffn_parts(), ffn, "kind", "moe"), ffn, site, layer(style_.norms == BlockStyle::Norms::parallel), "ffn");
  // An FFN that has the same input as the block's own, and whose output is added `after` blocks later: LongCat-Flash's shortcut, arXiv 2509.01322.
  if (block.has("aside")) {
    const Table aside = block.table("aside");
    append(named(ffn_parts(), aside, "kind", "moe"), aside, site, layer(true, static_cast<uint64_t>(aside.size("after", 0, 1024))), "");
  }
  blocks_++;
}

SumAndNorm BlockStack::forward(at::Tensor x, const Norm& last, const RowContext& rows, TrainingStep& step) {
  at::Tensor y;      // still to be added to x
  at::Tensor input;  // of the layer
  std::vector<std::pair<size_t, at::Tensor>> late;  // the block that it is added behind, and what
  const auto sum_into = [&](const Norm& norm) {
    if (!y.defined()) return norm(x, step.pass);
    const SumAndNorm both = norm.of_sum(x, y, step.pass);
    x = both.sum, y = at::Tensor();
    return both.normed;
  };
  const auto add = [&](const at::Tensor& more) { y = y.defined() ? y + more : more; };
  for (size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    if (layer.before) {
      input = sum_into(*layer.before);
    } else if (!layer.beside) {
      if (y.defined()) x = x + y, y = at::Tensor();
      input = x;
    }
    at::Tensor out = layer.part->forward(input, rows, step);
    if (layer.after) out = (*layer.after)(out, step.pass);
    if (style_.residual_scale != 1) out = out * style_.residual_scale;
    if (layer.due > layer.block) late.emplace_back(layer.due, out);
    else add(out);
    if (i + 1 < layers_.size() && layers_[i + 1].block == layer.block) continue;
    for (const auto& [due, more] : late)
      if (due == layer.block) add(more);
  }
  const at::Tensor normed = sum_into(last);
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
  std::vector<size_t> seen(blocks_);  // layers of each block
  nlohmann::json latent_sizes;         // which Moiety's own keys have once for all
  for (const Layer& layer : layers_) {
    const PartFacts part = layer.part->facts();
    const bool mixer = seen[layer.block]++ == 0;
    if (seen[layer.block] > 2) out.unwritten = "aside";
    if (mixer) out.own.push_back(nlohmann::json::object());
    const char* key = mixer ? "attention" : "ffn";
    out.own.back()[key] = part.own;
    if (part.latent) {
      nlohmann::json sizes = part.own;
      sizes.erase("rope_theta");
      if (!latent_sizes.is_null() && sizes != latent_sizes) out.unwritten = "latent attentions of several sizes";
      latent_sizes = std::move(sizes);
    }
    const bool first_experts = !mixer && !part.routing.empty() && out.routing.empty();
    if (first_experts) out.dense_first = layer.block;
    if (out.beyond.empty() && layer.block > 0 && !first_experts && out.own[layer.block - 1][key] != part.own)
      out.beyond = fmt::format("blocks that differ, as {} and {} do", layer.block - 1, layer.block);
    out.config.update(part.config);
    if (!part.qk_norm.empty()) out.qk_norm = part.qk_norm;
    out.latent |= part.latent;
    out.bias |= part.bias;
    if (!part.routing.empty()) out.routing = part.routing, out.shared_width = part.shared_width, out.shared_gate = part.shared_gate;
    if (!part.beyond.empty()) out.beyond = part.beyond;
    if (!part.unwritten.empty()) out.unwritten = part.unwritten;
  }
  return out;
}

}  // namespace moiety
