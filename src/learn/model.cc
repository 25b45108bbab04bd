#include "learn/model.h"

#include "learn/facts.h"
#include "learn/function_norm.h"
#include "learn/init.h"

namespace moiety {

LanguageModel::LanguageModel(const Table& t, int64_t vocabulary, Arena& arena) : arena_(arena), vocabulary_(vocabulary) {
  d_ = static_cast<int64_t>(t.count("d"));
  context_ = static_cast<int64_t>(t.count("context"));
  if (d_ == 0) t.wrong("d", "it must not be 0");
  if (context_ == 0) t.wrong("context", "it must not be 0");
  epsilon_ = static_cast<float>(t.number("eps", 1e-5));
  z_loss_ = static_cast<float>(t.number("z_loss", 0));
  const float deviation = static_cast<float>(t.number("deviation", 0.02));
  const uint64_t blocks = t.count("blocks");
  if (context_ > 1 << 20) t.wrong("context", "it is larger than 1048576");
  if (blocks == 0 || blocks > 10000) t.wrong("blocks", "from 1 to 10000 are possible");
  const std::vector<Table> kinds = t.tables("block");
  if (kinds.empty()) t.wrong("block", "at least one [[model.block]] is needed");
  int64_t scores = 0;
  embedding_ = arena_.declare("token_embd.weight", {vocabulary_, d_}, {0, deviation});
  for (uint32_t i = 0; i < blocks; i++) {
    const Table& kind = kinds[i % kinds.size()];
    const PartSite site{fmt::format("blk.{}.", i), i, d_, context_, vocabulary_, deviation, epsilon_, arena_, scores};
    const Table mixer = kind.table("attention"), ffn = kind.table("ffn");
    const size_t attention_norm = arena_.declare(site.prefix + "attn_norm.weight", {d_}, {1, 0});
    layers_.push_back({attention_norm, named(mixer_parts(), mixer, "kind", "causal").build(mixer, site)});
    const size_t ffn_norm = arena_.declare(site.prefix + "ffn_norm.weight", {d_}, {1, 0});
    layers_.push_back({ffn_norm, named(ffn_parts(), ffn, "kind", "moe").build(ffn, site)});
    if (const int64_t here = layers_.back().part->router_scores()) scores = here;
  }
  output_norm_ = arena_.declare("output_norm.weight", {d_}, {1, 0});
  head_ = t.flag("tied", true) ? embedding_ : arena_.declare("output.weight", {vocabulary_, d_}, {0, deviation});
  named(inits(), t, "init", "normal").apply({d_, blocks, t}, arena_.parameters());
}

at::Tensor LanguageModel::hidden(const RowContext& rows, TrainingStep& step) {
  at::Tensor x = embedding(rows.ids, arena_.value(embedding_), step.pass), y;  // y is still to be added to x
  const auto next = [&](size_t norm) {
    if (!y.defined()) return rms_norm(x, arena_.value(norm), epsilon_, step.pass);
    const SumAndNorm both = add_and_norm(x, y, arena_.value(norm), epsilon_, step.pass);
    x = both.sum;
    return both.normed;
  };
  for (Layer& layer : layers_) y = layer.part->forward(next(layer.norm), rows, step);
  return next(output_norm_);
}

HeadResult LanguageModel::forward(const RowContext& rows, const at::Tensor& targets, TrainingStep& step) {
  return head_loss(hidden(rows, step), arena_.value(head_), targets, z_loss_, step.pass);
}

void LanguageModel::after_step(const TrainingStep& step) {
  for (Layer& layer : layers_) layer.part->after_step(step);
}

void LanguageModel::see_text(std::span<const uint64_t> tokens, uint64_t seed) {
  for (Layer& layer : layers_) layer.part->see_text(tokens, seed);
}

std::vector<std::pair<std::string, std::span<float>>> LanguageModel::buffers() {
  std::vector<std::pair<std::string, std::span<float>>> out;
  for (Layer& layer : layers_)
    for (auto& buffer : layer.part->buffers()) out.push_back(buffer);
  return out;
}

size_t LanguageModel::active_parameters() const {
  size_t out = static_cast<size_t>(vocabulary_ * d_);
  for (const Layer& layer : layers_) out += layer.part->active_parameters();
  return out;
}

PartFacts LanguageModel::facts() const {
  PartFacts out;
  nlohmann::json blocks = nlohmann::json::array();
  for (size_t i = 0; i < layers_.size(); i++) {
    const PartFacts part = layers_[i].part->facts();
    if (i % 2 == 0) blocks.push_back(nlohmann::json::object());
    const char* key = i % 2 == 0 ? "attention" : "ffn";
    blocks.back()[key] = part.own;
    if (out.beyond.empty() && i >= 2 && blocks[i / 2 - 1][key] != part.own) out.beyond = fmt::format("blocks that differ, as {} and {} do", i / 2 - 1, i / 2);
    out.config.update(part.config);
    if (!part.qk_norm.empty()) out.qk_norm = part.qk_norm;
    if (!part.routing.empty()) out.routing = part.routing;
    if (!part.beyond.empty()) out.beyond = part.beyond;
  }
  out.own = {{"hidden_size", d_}, {"num_hidden_layers", blocks.size()}, {"vocab_size", vocabulary_}, {"max_position_embeddings", context_},
             {"rms_norm_eps", epsilon_}, {"tie_word_embeddings", head_ == embedding_}};
  out.config.update(out.own);
  out.config.update({{"hidden_act", "silu"}, {"attention_bias", false}});
  out.own["blocks"] = blocks;
  return out;
}

}  // namespace moiety
