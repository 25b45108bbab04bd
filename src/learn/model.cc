#include "learn/model.h"

#include <ATen/TensorOperators.h>

#include <algorithm>

#include "learn/facts.h"
#include "learn/init.h"

namespace moiety {

LanguageModel::LanguageModel(const Table& t, int64_t vocabulary, Arena& arena) : arena_(arena), vocabulary_(vocabulary) {
  d_ = static_cast<int64_t>(t.count("d"));
  context_ = static_cast<int64_t>(t.count("context"));
  if (d_ == 0) t.wrong("d", "it must not be 0");
  if (context_ == 0) t.wrong("context", "it must not be 0");
  epsilon_ = static_cast<float>(t.number("eps", 1e-5));
  const float deviation = static_cast<float>(t.number("deviation", 0.02)), z_loss = static_cast<float>(t.number("z_loss", 0));
  count_ = t.count("blocks");
  if (context_ > 1 << 20) t.wrong("context", "it is larger than 1048576");
  if (count_ == 0 || count_ > 10000) t.wrong("blocks", "from 1 to 10000 are possible");
  read_style(t);
  const std::vector<Table> kinds = t.tables("block");
  if (kinds.empty()) t.wrong("block", "at least one [[model.block]] is needed");
  const auto site = [&](uint32_t layer) { return PartSite{fmt::format("blk.{}.", layer), layer, d_, context_, vocabulary_, deviation, epsilon_, arena_, 0, style_}; };
  input_ = built(inputs(), t, "input", site(0));
  for (uint32_t i = 0; i < count_; i++) blocks_.append(kinds[i % kinds.size()], site(i));
  PartSite last = site(static_cast<uint32_t>(count_));
  last.prefix = "";
  last.epsilon = output_epsilon_ = static_cast<float>(t.number("output_eps", epsilon_));
  output_norm_.emplace(last, "output_norm");
  tied_ = t.flag("tied", true);
  const size_t output = tied_ ? input_->table() : arena_.declare("output.weight", {vocabulary_, d_}, {0, deviation});
  if (t.flag("head_bias", false)) head_bias_ = arena_.declare("output.bias", {vocabulary_}, {0, 0});
  head_ = built(heads(), t, "head", HeadSite{site(static_cast<uint32_t>(count_)), *input_, output, head_bias_, z_loss, kinds[(count_ - 1) % kinds.size()]});
  named(inits(), t, "init", "normal").apply({d_, count_, t}, arena_.parameters());
}

void LanguageModel::read_style(const Table& t) {
  const std::string norms = t.text("norms", "pre");
  constexpr std::array<std::string_view, 4> names = {"pre", "post", "sandwich", "parallel"};
  const auto name = std::ranges::find(names, norms);
  if (name == names.end()) t.wrong("norms", fmt::format("{} is expected", fmt::join(names, ", ")));
  style_.norms = static_cast<BlockStyle::Norms>(name - names.begin());
  style_.layer_norm = t.flag("layer_norm", false);
  style_.norm_bias = style_.layer_norm && t.flag("norm_bias", false);
  style_.residual_scale = static_cast<float>(t.number("residual_scale", 1));
  embedding_scale_ = static_cast<float>(t.number("embedding_scale", 1));
  logit_scale_ = static_cast<float>(t.number("logit_scale", 1));
}

SumAndNorm LanguageModel::last_rows(const RowContext& rows, TrainingStep& step) {
  at::Tensor x = input_->forward(rows, step);
  if (embedding_scale_ != 1) x = x * embedding_scale_;
  SumAndNorm out = blocks_.forward(x, *output_norm_, rows, step);
  if (logit_scale_ != 1) out.normed = out.normed * logit_scale_;  // the head is linear
  return out;
}

HeadResult LanguageModel::forward(const RowContext& rows, const at::Tensor& targets, TrainingStep& step) {
  return head_->forward(last_rows(rows, step), rows, targets, step);
}

void LanguageModel::after_step(const TrainingStep& step) {
  for (TrainedPart* part : parts()) part->after_step(step);
}

void LanguageModel::see_text(std::span<const uint64_t> tokens, uint64_t seed) {
  for (TrainedPart* part : parts()) part->see_text(tokens, seed);
}

std::vector<std::pair<std::string, std::span<float>>> LanguageModel::buffers() {
  std::vector<std::pair<std::string, std::span<float>>> out;
  for (TrainedPart* part : parts()) std::ranges::copy(part->buffers(), std::back_inserter(out));
  return out;
}

size_t LanguageModel::active_parameters() const { return input_->active_parameters() + blocks_.active_parameters() + head_->active_parameters(); }

PartFacts LanguageModel::facts() const {
  PartFacts out = blocks_.facts();
  const nlohmann::json blocks = std::move(out.own);
  out.own = {{"hidden_size", d_}, {"num_hidden_layers", count_}, {"vocab_size", vocabulary_}, {"max_position_embeddings", context_},
             {"rms_norm_eps", epsilon_}, {"tie_word_embeddings", tied_}};
  out.config.update(out.own);
  out.config.update({{"hidden_act", "silu"}, {"attention_bias", false}});
  out.own["blocks"] = blocks;
  if (style_ != BlockStyle() || embedding_scale_ != 1 || logit_scale_ != 1 || head_bias_ || output_epsilon_ != epsilon_)
    out.unwritten = "norms, layer_norm, output_eps, residual_scale, embedding_scale, logit_scale or head_bias";
  return out;
}

}  // namespace moiety
