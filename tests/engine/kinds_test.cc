// A kind of expert that nothing in the engine knows of runs from its table alone (experts/kind.h), on both ways through a mixture, to the bits of the
// kind that it is a copy of.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/engine/packed.h"

namespace moiety {
namespace {

// What a file would bring for a kind of FFN, and for one that computes next to nothing.
const ExpertKind rectified = {.name = "rectified", .config_name = "", .parts = plain_ffn_expert_parts, .unit = [](std::span<float> x) {
  for (float& v : x) v = v > 0 ? v : 0;
}};

struct Passing : RowExpert {
  void output(std::span<const float> x, size_t, size_t begin, std::span<float> y) const override { std::copy_n(x.begin() + static_cast<ptrdiff_t>(begin), y.size(), y.begin()); }
};
const ExpertKind passing = {.name = "passing", .config_name = "", .parts = {}, .serve = [](const ExpertView&, ConstRows, std::span<const uint32_t>, Workers&) -> std::unique_ptr<RowExpert> {
  return std::make_unique<Passing>();
}};

const ExpertKind* known_kind(std::string_view name) { return *std::ranges::find(all_expert_kinds(), name, &ExpertKind::config_name); }

// Expert e is of kind e % kinds, with those of its parts that the kind has.
class KindsBank : public ExpertBank {
 public:
  KindsBank(std::shared_ptr<ExpertBank> inner, std::vector<const ExpertKind*> kinds) : inner_(std::move(inner)), kinds_(std::move(kinds)) {}
  uint32_t size() const override { return inner_->size(); }
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override { return std::make_unique<Held>(*this, ids); }

 private:
  struct Held : Lease {
    Held(KindsBank& bank, std::span<const uint32_t> ids) : inner(bank.inner_->lease(ids)), parts(ids.size()), views(ids.size()) {
      for (uint32_t id : ids) kinds.push_back(bank.kinds_[id % bank.kinds_.size()]);
    }
    size_t wait_any() override { return inner->wait_any(); }
    bool all_ready() const override { return inner->all_ready(); }
    const ExpertView& view(size_t i) override {
      parts[i].clear();
      for (const Part& part : inner->view(i).parts)
        if (std::ranges::any_of(kinds[i]->parts, [&](const PartShape& shape) { return shape.role == part.role; })) parts[i].push_back(part);
      return views[i] = {kinds[i], parts[i]};
    }
    std::unique_ptr<Lease> inner;
    std::vector<const ExpertKind*> kinds;
    std::vector<std::vector<Part>> parts;
    std::vector<ExpertView> views;
  };
  std::shared_ptr<ExpertBank> inner_;
  std::vector<const ExpertKind*> kinds_;
};

TEST(Kinds, AKindIsWhatItsTableSays) {
  std::mt19937 rng(12);
  std::vector<int32_t> ids(20);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng() % 96);
  Watcher watcher;
  const auto logits = [&](std::vector<const ExpertKind*> kinds, bool pack, Observer* observer) {
    const auto model = load(std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures/mixtral", pack);
    for (const Block& block : model->blocks) block.site->bank = std::make_shared<KindsBank>(block.site->bank, kinds);
    return run(model, ids, 2, ids.size(), observer);
  };
  const std::vector<float> expected = logits({known_kind("relu"), known_kind("copy"), known_kind("zero")}, false, nullptr);
  EXPECT_NE(expected, logits({known_kind("relu"), known_kind("copy"), known_kind("copy")}, false, nullptr));
  for (bool pack : {false, true})
    for (Observer* observer : {static_cast<Observer*>(nullptr), static_cast<Observer*>(&watcher)})
      EXPECT_EQ(logits({&rectified, &passing, known_kind("zero")}, pack, observer), logits({known_kind("relu"), known_kind("copy"), known_kind("zero")}, pack, nullptr)) << pack;
}

}  // namespace
}  // namespace moiety
