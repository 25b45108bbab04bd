// The trainer against the engine on real text: the models that ship, and another one where MOIETY_TRAINED names it.
#include <gtest/gtest.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/file.h"
#include "data/data_tokenizer.h"
#include "engine/session.h"
#include "learn/model.h"
#include "learn/pretrained.h"
#include "model/load.h"

namespace moiety {
namespace {

constexpr size_t length = 256, windows = 4;  // of each text

using Chosen = std::vector<std::vector<int32_t>>;  // [rows] ascending

struct Watcher : Observer {
  std::vector<Chosen> sites;
  void routed(const Site& site, std::span<const StepRow>, ConstRows, ConstRows, const RoutingPlan& plan) override {
    sites.resize(std::max<size_t>(sites.size(), site.index + 1));
    for (size_t r = 0; r < plan.rows(); r++) {
      std::vector<int32_t>& row = sites[site.index].emplace_back();
      for (const Choice& choice : plan[r]) row.push_back(static_cast<int32_t>(choice.expert));
      std::ranges::sort(row);
    }
  }
};

Chosen chosen(const RoutedRows& routed) {
  Chosen out;
  for (size_t r = 0; r + 1 < routed.first.size(); r++)
    out.emplace_back(routed.expert.begin() + routed.first[r], routed.expert.begin() + routed.first[r + 1]);
  return out;
}

// The first row that another expert serves; the rows after it see what it made. Only where two experts score as good as the same may that be.
size_t first_other_choice(const std::vector<SiteRecord>& trained, const std::vector<Chosen>& engine, size_t rows) {
  size_t out = rows, site = 0;
  for (size_t s = 0; s < trained.size(); s++) {
    const Chosen theirs = chosen(trained[s].routed);
    const size_t row = static_cast<size_t>(std::ranges::mismatch(theirs, engine[s]).in1 - theirs.begin());
    if (row < out) out = row, site = s;
  }
  if (out == rows) return out;
  std::vector<int32_t> differ;
  std::ranges::set_symmetric_difference(chosen(trained[site].routed)[out], engine[site][out], std::back_inserter(differ));
  const at::Tensor logits = trained[site].logits[static_cast<int64_t>(out)];
  const auto score = [&](int32_t e) { return logits.data_ptr<float>()[e]; };
  const auto [low, high] = std::ranges::minmax(differ, {}, score);
  EXPECT_LE(score(high) - score(low), 1e-4 * logits.abs().max().item<double>()) << trained[site].name << ", row " << out << ": no tie";
  return out;
}

void compare(const std::filesystem::path& path) {
  SCOPED_TRACE(path.string());
  const Description context = Description::parse("context = " + std::to_string(length), "test");
  const Pretrained source = Pretrained::open(path);
  const Description shape = source.description(context.root());
  Workers workers(2);
  Arena arena;
  LanguageModel model(shape.root(), source.vocabulary(), arena);
  arena.finish(1, workers);
  source.read(arena, model.buffers(), {});
  const auto head = std::ranges::find_if(arena.parameters(), [](const Parameter& p) { return p.name == "output.weight"; });
  const at::Tensor output = head == arena.parameters().end() ? arena.value(0) : head->value;
  Session session(load_model(path), {.threads = 2, .cache_type = TensorType::f32});
  const DataTokenizer tokenizer = load_data_tokenizer(path);
  const at::NoGradGuard no_graph;

  double error = 0, size = 0;
  size_t tokens = 0, compared = 0, ties = 0;
  for (const char* text : {"LICENSE", "README.md", "src/model/forward.cc", "scripts/make_corpus.py"}) {
    const std::vector<int32_t> all = tokenizer.tokenizer->encode(read_text_file(std::filesystem::path(MOIETY_SOURCE_DIR) / text));
    for (size_t first = 0; first < std::min(all.size(), windows * length); first += length) {
      const std::vector<int32_t> ids(all.begin() + static_cast<ptrdiff_t>(first), all.begin() + static_cast<ptrdiff_t>(std::min(all.size(), first + length)));
      const int64_t rows = static_cast<int64_t>(ids.size());
      Pass pass{workers, nullptr, {}};
      TrainingStep step{pass};
      step.training = false;
      const at::Tensor expected = at::matmul(model.hidden({rows, rows, at::tensor(ids, at::kInt)}, step), output.t());
      Watcher watcher;
      const Append append{session.add_sequence(), ids, WantLogits::all};
      const std::vector<float> logits = session.evaluate({&append, 1}, &watcher)[0];
      session.remove_sequence(append.sequence);
      ASSERT_EQ(static_cast<int64_t>(logits.size()), expected.numel());
      const size_t end = first_other_choice(step.sites, watcher.sites, ids.size());
      for (size_t i = 0; i < end * (logits.size() / ids.size()); i++) {
        const double ours = logits[i], theirs = expected.data_ptr<float>()[i];
        ASSERT_TRUE(std::isfinite(ours) && std::isfinite(theirs));
        error = std::max(error, std::abs(ours - theirs)), size = std::max(size, std::abs(ours));
      }
      tokens += ids.size(), compared += end, ties += end < ids.size();
    }
  }
  std::printf("%zu of %zu tokens, before %zu choices between equals: largest difference %.1e of the largest logit\n", compared, tokens, ties, error / size);
  EXPECT_LE(error, 1e-4 * size);
  EXPECT_LE(ties, 2u);
}

TEST(RealText, TheShippedModels) {
  for (const char* name : {"moiety-nano", "moiety-mini"}) compare(std::filesystem::path(MOIETY_SOURCE_DIR) / "models" / name / (std::string(name) + ".gguf"));
}

TEST(RealText, AModelThatWasTrained) {
  const char* model = std::getenv("MOIETY_TRAINED");
  if (!model) GTEST_SKIP() << "MOIETY_TRAINED names none";
  compare(model);
}

}  // namespace
}  // namespace moiety
