// A token's logits have the same bits whatever is computed beside it, however its prompt is cut, on however many threads; and sequences
// are cut, copied, saved and loaded without a trace.
#include "engine/session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <random>

#include "model/experts.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

constexpr uint32_t vocab = 96;

Fixture fixture(const char* name) { return {std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures" / name}; }

std::vector<int32_t> random_ids(std::mt19937& rng, size_t n) {
  std::vector<int32_t> out(n);
  for (int32_t& id : out) id = static_cast<int32_t>(rng() % vocab);
  return out;
}

std::vector<float> alone(const std::shared_ptr<const Model>& model, const std::vector<int32_t>& ids, SessionOptions options = exact()) {
  Session session(model, options);
  const Append append{session.add_sequence(), ids, WantLogits::all};
  return session.evaluate({&append, 1})[0];
}

// One of each kind of mixer and site.
class AnyModel : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const Model> model = load_model(fixture(GetParam()).path);
};

TEST_P(AnyModel, BatchMatesChangeNothing) {
  for (unsigned seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 rng(seed);
    std::vector<std::vector<int32_t>> texts;
    for (int i = 0; i < 5; i++) texts.push_back(random_ids(rng, 1 + rng() % 30));
    SessionOptions options = exact();
    options.threads = 1 + rng() % 4;
    options.chunk = 1 + rng() % 40;
    Session session(model, options);
    std::vector<Append> batch;
    for (const auto& ids : texts) batch.push_back({session.add_sequence(), ids, WantLogits::all});
    const auto together = session.evaluate(batch);
    for (size_t i = 0; i < texts.size(); i++) EXPECT_EQ(together[i], alone(model, texts[i])) << "text " << i;
  }
}

TEST_P(AnyModel, WhoWatchesHearsOfEachTokenOnceAndMayEndTheWork) {
  std::mt19937 rng(11);
  const std::vector<int32_t> ids = random_ids(rng, 33);
  for (size_t chunk : {1, 7, 100}) {
    SessionOptions options = exact();
    options.chunk = chunk;
    Session session(model, options);
    size_t told = 0, limit = 1000;
    session.watch([&](size_t tokens) {
      told += tokens;
      if (told > limit) throw Error("enough");
    });
    const uint32_t s = session.add_sequence();
    const Append whole{s, ids, WantLogits::all}, more{s, std::span(ids).first(5), WantLogits::last};
    EXPECT_EQ(session.evaluate({&whole, 1})[0], alone(model, ids));
    EXPECT_EQ(told, 33u);
    limit = 35;
    EXPECT_THROW(session.evaluate({&more, 1}), Error);
    EXPECT_EQ(session.ids(s).size(), 33u);  // as it was
    session.watch({});
    session.evaluate({&more, 1});
    EXPECT_EQ(session.ids(s).size(), 38u);
  }
}

TEST_P(AnyModel, LoadingTellsHowFarItIs) {
  for (bool pack : {false, true}) {
    std::vector<std::pair<uint64_t, uint64_t>> told;
    LoadOptions options;
    options.pack = pack;
    options.progress = [&](uint64_t done, uint64_t all) { told.emplace_back(done, all); };
    load_model(fixture(GetParam()).path, options);
    ASSERT_GT(told.size(), 10u);
    EXPECT_TRUE(std::ranges::is_sorted(told));
    EXPECT_EQ(told.back().first, told.back().second);
    EXPECT_GT(told.back().second, 10'000u);
  }
}

TEST_P(AnyModel, ThreadsAndChunksChangeNothing) {
  std::mt19937 rng(7);
  const std::vector<int32_t> ids = random_ids(rng, 33);
  const std::vector<float> reference = alone(model, ids);
  for (size_t threads : {1, 3, 8})
    for (size_t chunk : {1, 4, 100}) {
      SessionOptions options = exact();
      options.threads = threads, options.chunk = chunk;
      EXPECT_EQ(alone(model, ids, options), reference) << threads << " threads, chunks of " << chunk;
    }
}

TEST_P(AnyModel, CutCopySaveAndLoad) {
  std::mt19937 rng(11);
  const std::vector<int32_t> ids = random_ids(rng, 24), other = random_ids(rng, 9);
  std::vector<int32_t> expected(ids.begin(), ids.begin() + 10);
  expected.insert(expected.end(), other.begin(), other.end());
  const std::vector<float> whole = alone(model, expected);
  const std::vector<float> reference(whole.begin() + 10 * vocab, whole.end());

  Session session(model, exact());
  const uint32_t s = session.add_sequence();
  const Append first{s, ids, WantLogits::none};
  session.evaluate({&first, 1});
  const uint32_t copy = session.copy_sequence(s);
  const auto path = std::filesystem::temp_directory_path() / ("moiety-session-" + std::to_string(::getpid()));
  session.save(s, path);
  Session second(model, exact());
  const uint32_t loaded = second.load(path);
  std::filesystem::remove(path);
  for (auto [where, sequence] : {std::pair(&session, s), std::pair(&session, copy), std::pair(&second, loaded)}) {
    EXPECT_EQ(std::vector<int32_t>(where->ids(sequence).begin(), where->ids(sequence).end()), ids);
    where->truncate(sequence, 10);
    const Append more{sequence, other, WantLogits::all};
    EXPECT_EQ(where->evaluate({&more, 1})[0], reference);
  }
}

TEST_P(AnyModel, WhatTwoTextsBeginWithIsKept) {
  std::mt19937 rng(9);
  const std::vector<int32_t> first = random_ids(rng, 21);
  std::vector<int32_t> second(first.begin(), first.begin() + 13);
  second.push_back((first[13] + 1) % static_cast<int32_t>(vocab));
  Session session(model, exact());
  const uint32_t s = session.add_sequence();
  const Append all{s, first, WantLogits::none};
  session.evaluate({&all, 1});
  ASSERT_EQ(session.truncate_to_common(s, second), 13u);
  EXPECT_EQ(session.ids(s).size(), 13u);
  EXPECT_TRUE(session.computed(s) == 13 || session.computed(s) == 0);  // a state that cannot go back is computed anew
  const Append rest{s, std::span(second).subspan(13), WantLogits::last};
  const auto expected = alone(model, second);
  EXPECT_EQ(session.evaluate({&rest, 1})[0], std::vector<float>(expected.end() - vocab, expected.end()));
  EXPECT_EQ(session.truncate_to_common(s, std::span(second).first(4)), 4u);
  EXPECT_EQ(session.truncate_to_common(s, random_ids(rng, 0)), 0u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, AnyModel,
                         testing::Values("llama", "mixtral", "deepseek_v3", "jetmoe", "lfm2_moe", "qwen3_next", "bailing_hybrid", "longcat_flash",
                                         "gpt_oss", "llama4-text", "phimoe-longrope"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Dense models: where experts are chosen, a rounded cache may rightly choose others.
TEST(Session, SmallCachesStayClose) {
  for (const char* name : {"llama", "qwen3", "mistral-sliding", "olmo2"}) {
    const auto model = load_model(fixture(name).path);
    std::mt19937 rng(5);
    const std::vector<int32_t> ids = random_ids(rng, 20);
    const std::vector<float> reference = alone(model, ids);
    for (TensorType type : {TensorType::f16, TensorType::bf16}) {
      SessionOptions options = exact();
      options.cache_type = type;
      EXPECT_LE(relative_error(alone(model, ids, options), reference), type == TensorType::f16 ? 0.005 : 0.04) << name;
    }
  }
}

TEST(Session, RefusesWhatCannotBeComputed) {
  const auto model = load_model(fixture("mixtral").path);
  SessionOptions options = exact();
  options.context = 8;
  Session session(model, options);
  const uint32_t s = session.add_sequence();
  const std::vector<int32_t> many(9, 1), outside = {1, 96}, negative = {-1};
  for (const auto* ids : {&many, &outside, &negative}) {
    const Append append{s, *ids, WantLogits::last};
    EXPECT_THROW(session.evaluate({&append, 1}), Error);
  }
  const std::vector<int32_t> good = {1, 2, 3};
  const Append append{s, good, WantLogits::last};
  EXPECT_EQ(session.evaluate({&append, 1})[0].size(), vocab);
}

TEST(Session, RoutingTextOfAFamilyIsTheFamily) {
  for (const char* name : {"mixtral", "deepseek_v3", "phimoe", "gpt_oss", "ernie4_5_moe", "cohere2_moe", "longcat_flash"}) {
    const auto model = load_model(fixture(name).path);
    std::mt19937 rng(3);
    const std::vector<int32_t> ids = random_ids(rng, 12);
    SessionOptions options = exact();
    options.routing = model->sites[0]->routing;
    EXPECT_EQ(alone(model, ids, options), alone(model, ids)) << name;
  }
}

// --- the expert plane: banks that answer late, share, alias -----------------------------------------------------------------------

// Hands out another bank's experts in reverse order of asking.
class ReversedBank : public ExpertBank {
 public:
  explicit ReversedBank(std::shared_ptr<ExpertBank> inner) : inner_(std::move(inner)) {}
  uint32_t size() const override { return inner_->size(); }
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override {
    struct Reversed : Lease {
      std::unique_ptr<Lease> inner;
      size_t left = 0;
      size_t wait_any() override { return left ? --left : none; }
      const ExpertView& view(size_t i) override { return inner->view(i); }
    };
    auto out = std::make_unique<Reversed>();
    out->inner = inner_->lease(ids);
    out->left = ids.size();
    while (out->inner->wait_any() != Lease::none) {
    }
    return out;
  }

 private:
  std::shared_ptr<ExpertBank> inner_;
};

// Ids [0, 2n) over n records: id and id + n are one expert.
class DoubledBank : public ExpertBank {
 public:
  explicit DoubledBank(std::shared_ptr<ExpertBank> inner) : inner_(std::move(inner)) {}
  uint32_t size() const override { return 2 * inner_->size(); }
  uint32_t record(uint32_t id) const override { return id % inner_->size(); }
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override {
    std::vector<uint32_t> real;
    for (uint32_t id : ids) real.push_back(record(id));
    return inner_->lease(real);
  }

 private:
  std::shared_ptr<ExpertBank> inner_;
};

struct Rig {
  std::shared_ptr<const Model> model = load_model(fixture("mixtral").path);
  Workers workers{2};
  Step step{*model, workers, TensorType::f32, {}};
  Buffer x{6, 32};
  Rig() {
    std::mt19937 rng(9);
    for (size_t t = 0; t < x.rows(); t++)
      for (float& v : x[t]) v = static_cast<float>(rng() % 2001) / 1000 - 1;
  }
  std::vector<float> run(std::shared_ptr<ExpertBank> bank, const RoutingPlan& plan) {
    Site site;
    site.config = model->sites[0]->config;
    site.bank = std::move(bank);
    Buffer out(x.rows(), x.cols());
    Activations input{ConstRows(x)};
    run_experts(step, site, assign(plan, *site.bank, workers), {}, input, out);
    std::vector<float> all;
    for (size_t t = 0; t < out.rows(); t++) all.insert(all.end(), out[t].begin(), out[t].end());
    return all;
  }
};

RoutingPlan plan_of(std::initializer_list<std::vector<Choice>> rows) {
  RoutingPlan plan;
  for (const auto& row : rows) plan.append_row(row);
  return plan;
}

TEST(Experts, OrderOfArrivalChangesNothing) {
  Rig rig;
  const RoutingPlan plan = plan_of({{{3, 0.6f}, {0, 0.3f}, {7, 0.1f}}, {}, {{2, 1.0f}}, {{1, 0.5f}, {2, 0.5f}}, {{7, 0.9f}, {6, 0.2f}}, {{5, -0.5f}}});
  const auto bank = rig.model->sites[0]->bank;
  const std::vector<float> plain = rig.run(bank, plan);
  EXPECT_EQ(rig.run(std::make_shared<ReversedBank>(bank), plan), plain);
  EXPECT_TRUE(std::all_of(plain.begin() + 32, plain.begin() + 64, [](float v) { return v == 0; })) << "a row without experts gives zero";
}

TEST(Experts, AliasesAreOneExpert) {
  Rig rig;
  const auto bank = rig.model->sites[0]->bank;
  const uint32_t n = bank->size();
  const RoutingPlan doubled = plan_of({{{3, 0.5f}, {3 + n, 0.25f}}, {{n, 1.0f}}, {{1, 0.5f}, {2 + n, 0.5f}}, {}, {{4, 0.125f}, {4 + n, 0.5f}}, {{0, 1.0f}}});
  const RoutingPlan single = plan_of({{{3, 0.75f}}, {{0, 1.0f}}, {{1, 0.5f}, {2, 0.5f}}, {}, {{4, 0.625f}}, {{0, 1.0f}}});
  EXPECT_EQ(rig.run(std::make_shared<DoubledBank>(bank), doubled), rig.run(bank, single));
}

TEST(Session, NamesTheLogitThatIsNotFinite) {
  const auto model = std::const_pointer_cast<Model>(load_model(fixture("mixtral").path));
  std::vector<float> bias(vocab);
  bias[77] = std::numeric_limits<float>::quiet_NaN();
  model->output.bias = bias;
  try {
    alone(model, {1, 2, 3});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("the logit of token 77 is not finite"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace moiety
