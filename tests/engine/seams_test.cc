// Seams: what a method of the literature would bring, each as a toy that must give the same bits as a plain form without it. All run
// through whole sessions.
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "base/error.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

constexpr uint32_t vocab = 96;

using Banks = std::function<std::shared_ptr<ExpertBank>(const Site&)>;
using Entries = std::vector<Pipeline::Entry>;
using Ids = std::vector<int32_t>;
using Logits = std::vector<float>;

// A fixture's model, all of whose sites get another bank.
std::shared_ptr<const Model> own_model(const std::string& name, const Banks& banks = {}) {
  auto model = load_model(std::filesystem::path(MOIETY_SOURCE_DIR) / "tests/fixtures" / name);
  for (const Block& block : model->blocks)
    for (Site* site : {block.attention_site.get(), block.site.get()})
      if (site && banks) site->bank = banks(*site);
  return model;
}

// The model's own stages as one, so that a toy can stand before or behind them.
class Own : public RowStage {
 public:
  explicit Own(const Site& site) : pipeline_(bind(site)) {}
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (const Pipeline::Entry& entry : pipeline_.entries()) std::get<std::unique_ptr<RowStage>>(entry.stage)->forward(in, candidates, {});
  }

 private:
  static Pipeline bind(const Site& site) {
    StageSite bound{site.index, site.layer, static_cast<uint32_t>(site.router.weight.rows), {}};
    bound.tensors.find = [&site](std::string_view) { return site.choice_bias; };
    return RoutingPolicy::model().bind(bound, site.routing);
  }
  Pipeline pipeline_;
};

template <class... Stage>
Entries entries(std::unique_ptr<Stage>... stages) {
  Entries out;
  (out.push_back({"toy", std::move(stages)}), ...);
  return out;
}

std::shared_ptr<const BoundRouting> routing(const Model& model, const char* name, const std::function<Entries(const Site&)>& make) {
  auto out = std::make_shared<BoundRouting>();
  out->text = name;
  for (const Site* site : model.sites) out->sites.emplace_back(make(*site), site->layer, site->bank->size());
  return out;
}

Ids random_ids(std::mt19937& rng, size_t n) {
  Ids out(n);
  for (int32_t& id : out) id = static_cast<int32_t>(rng() % vocab);
  return out;
}

Logits append(Session& session, uint32_t sequence, std::span<const int32_t> ids, Observer* observer = nullptr) {
  const Append append{sequence, ids, WantLogits::all};
  return session.evaluate({&append, 1}, observer)[0];
}

Logits whole(const std::shared_ptr<const Model>& model, const Ids& ids, const std::shared_ptr<const BoundRouting>& routing = {}) {
  Session session(model, exact());
  if (routing) session.add_routing(routing);
  return append(session, session.add_sequence(routing ? routing->text : ""), ids);
}

// Mixtures with shared experts, zero experts, weights on the input, two sites in a layer.
const char* const mixtures[] = {"mixtral", "deepseek_v3", "longcat_flash", "llama4-text", "jetmoe", "qwen3_next"};

// --- banks ----------------------------------------------------------------------------------------------------------------------------

// Another thread brings the experts, one after another, in an order of its own.
class LateBank : public ExpertBank {
 public:
  explicit LateBank(std::shared_ptr<ExpertBank> inner) : inner_(std::move(inner)) {}
  uint32_t size() const override { return inner_->size(); }
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override {
    return std::make_unique<Late>(inner_->lease(ids), ids.size(), leases_++);
  }

 private:
  class Late : public Lease {
   public:
    Late(std::unique_ptr<Lease> inner, size_t count, unsigned seed) : inner_(std::move(inner)), left_(count) {
      while (inner_->wait_any() != none) {
      }
      std::vector<size_t> order(count);
      for (size_t i = 0; i < count; i++) order[i] = i;
      std::shuffle(order.begin(), order.end(), std::mt19937(seed));
      bringer_ = std::thread([this, order] {
        for (size_t i : order) {
          std::this_thread::sleep_for(std::chrono::microseconds(50));
          const std::lock_guard lock(mutex_);
          arrived_.push_back(i);
          changed_.notify_one();
        }
      });
    }
    ~Late() override { bringer_.join(); }
    size_t wait_any() override {
      if (left_ == 0) return none;
      left_--;
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !arrived_.empty(); });
      const size_t i = arrived_.back();
      arrived_.pop_back();
      return i;
    }
    const ExpertView& view(size_t i) override { return inner_->view(i); }

   private:
    std::unique_ptr<Lease> inner_;
    size_t left_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<size_t> arrived_;
    std::thread bringer_;
  };
  std::shared_ptr<ExpertBank> inner_;
  unsigned leases_ = 0;
};

TEST(Seams, ABankThatAnswersLateAndShuffled) {
  std::mt19937 rng(1);
  for (const char* name : mixtures) {
    const Ids ids = random_ids(rng, 20);
    const auto late = own_model(name, [](const Site& site) { return std::make_shared<LateBank>(site.bank); });
    EXPECT_EQ(whole(late, ids), whole(own_model(name), ids)) << name;
  }
}

// The same experts in memory of their own.
std::shared_ptr<ExpertBank> copied(ExpertBank& bank, std::vector<std::vector<std::byte>>& memory) {
  std::vector<uint32_t> ids(bank.size());
  for (uint32_t e = 0; e < ids.size(); e++) ids[e] = e;
  std::vector<MemoryBank::Expert> experts(ids.size());
  const auto lease = bank.lease(ids);
  for (size_t i; (i = lease->wait_any()) != Lease::none;) {
    experts[i].kind = lease->view(i).kind;
    for (Part part : lease->view(i).parts) {
      const size_t bytes = bytes_of(part.matrix.type, part.matrix.cols);
      std::vector<std::byte>& own = memory.emplace_back(bytes * part.matrix.rows);
      for (size_t r = 0; r < part.matrix.rows; r++) std::memcpy(own.data() + r * bytes, part.matrix.row(r), bytes);
      experts[i].parts.push_back({part.role, {part.matrix.type, part.matrix.rows, part.matrix.cols, own.data(), bytes}});
    }
  }
  return std::make_shared<MemoryBank>(std::move(experts));
}

TEST(Seams, SitesThatShareABank) {
  std::mt19937 rng(2);
  for (const char* name : {"mixtral", "deepseek_v3", "longcat_flash"}) {
    const Ids ids = random_ids(rng, 20);
    std::shared_ptr<ExpertBank> first;
    std::vector<std::vector<std::byte>> memory;
    auto share = [&](const Site& site) { return first ? first : first = site.bank; };
    const auto shared = own_model(name, share);
    std::shared_ptr<ExpertBank> original;
    const auto plain = own_model(name, [&](const Site& site) {
      if (!original) return original = site.bank;
      return copied(*original, memory);
    });
    EXPECT_EQ(shared->sites[0]->bank, shared->sites[1]->bank);
    const Logits one = whole(shared, ids);
    EXPECT_EQ(one, whole(plain, ids)) << name;
    EXPECT_NE(one, whole(own_model(name), ids)) << name << ": the second site's own experts make a difference";
  }
}

// Ids [0, size) over n records, again and again.
class AliasBank : public ExpertBank {
 public:
  AliasBank(std::shared_ptr<ExpertBank> inner, uint32_t size) : inner_(std::move(inner)), size_(size) {}
  uint32_t size() const override { return size_; }
  uint32_t record(uint32_t id) const override { return id % inner_->size(); }
  std::unique_ptr<Lease> lease(std::span<const uint32_t> ids) override {
    std::vector<uint32_t> records;
    for (uint32_t id : ids) records.push_back(record(id));
    return inner_->lease(records);
  }

 private:
  std::shared_ptr<ExpertBank> inner_;
  uint32_t size_;
};

// Half of each weight goes to the expert's alias.
struct Halves : RowStage {
  explicit Halves(uint32_t records) : records(records) {}
  void forward(const RoutingInput&, std::vector<Candidate>& candidates, std::span<float>) const override {
    for (size_t i = candidates.size(); i-- > 0;) {
      candidates[i].weigh /= 2;
      Candidate alias = candidates[i];
      alias.expert += records;
      candidates.push_back(alias);
    }
  }
  uint32_t records;
};

TEST(Seams, IdsThatAliasOneRecord) {
  std::mt19937 rng(3);
  for (const char* name : mixtures) {
    const Ids ids = random_ids(rng, 20);
    const auto twins = own_model(name, [](const Site& site) { return std::make_shared<AliasBank>(site.bank, 2 * site.bank->size()); });
    const auto halves = routing(*twins, "halves", [](const Site& site) {
      return entries(std::make_unique<Own>(site), std::make_unique<Halves>(site.bank->size() / 2));
    });
    EXPECT_EQ(whole(twins, ids, halves), whole(own_model(name), ids)) << name;
  }
}

// --- stages ---------------------------------------------------------------------------------------------------------------------------

void boost(std::vector<Candidate>& candidates, size_t which) {
  Candidate& c = candidates[which % candidates.size()];
  c.choose += 3, c.weigh += 3;
}

// Counts sites on the way through the network; the plain form is told the site's number.
struct ByDepth : RowStage {
  explicit ByDepth(bool carries) : carries(carries) {}
  size_t carry_size() const override { return carries ? 1 : 0; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float> carry_out) const override {
    boost(candidates, 3 * (carries ? static_cast<size_t>(in.carry[0]) : in.site));
    if (carries) carry_out[0] = in.carry[0] + 1;
  }
  bool carries;
};

// Counts the sequence's tokens; the plain form is told the position.
struct ByCount : RowStage {
  explicit ByCount(bool remembers) : remembers(remembers) {}
  size_t memory_size() const override { return remembers ? 1 : 0; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    boost(candidates, remembers ? static_cast<size_t>(in.sequence->memory[0]++) : in.position);
  }
  bool remembers;
};

std::shared_ptr<const BoundRouting> stateful(const Model& model, bool state) {
  return routing(model, state ? "stateful" : "plain", [state](const Site& site) {
    return entries(std::make_unique<ByDepth>(state), std::make_unique<ByCount>(state), std::make_unique<Own>(site));
  });
}

TEST(Seams, CarryAndSequenceMemoryThroughCutCopySaveAndLoad) {
  std::mt19937 rng(4);
  for (const char* name : mixtures) {
    SCOPED_TRACE(name);
    const auto model = own_model(name);
    const auto toy = stateful(*model, true), plain = stateful(*model, false);
    const Ids ids = random_ids(rng, 24), other = random_ids(rng, 9);
    EXPECT_EQ(whole(model, ids, toy), whole(model, ids, plain));
    EXPECT_NE(whole(model, ids, toy), whole(model, ids)) << "the toy changes something";

    Ids cut(ids.begin(), ids.begin() + 11);
    cut.insert(cut.end(), other.begin(), other.end());
    const Logits all = whole(model, cut, plain), expected(all.begin() + 11 * vocab, all.end());
    SessionOptions small = exact();
    small.chunk = 5;
    Session session(model, small), second(model, exact());
    session.add_routing(toy), second.add_routing(toy);
    const uint32_t s = session.add_sequence("stateful");
    append(session, s, ids);
    const uint32_t copy = session.copy_sequence(s);
    const auto path = std::filesystem::temp_directory_path() / ("moiety-seams-" + std::to_string(::getpid()));
    session.save(s, path);
    const uint32_t loaded = second.load(path);
    std::filesystem::remove(path);
    for (auto [where, sequence] : {std::pair(&session, s), std::pair(&session, copy), std::pair(&second, loaded)}) {
      where->truncate(sequence, 11);
      EXPECT_EQ(append(*where, sequence, other), expected);
    }
    // Loaded and continued, without a cut: the memory itself came through the file.
    session.save(s, path);
    const uint32_t again = second.load(path);
    std::filesystem::remove(path);
    cut.insert(cut.end(), ids.begin(), ids.end());
    const Logits longer = whole(model, cut, plain);
    EXPECT_EQ(append(second, again, ids), Logits(longer.end() - static_cast<ptrdiff_t>(ids.size() * vocab), longer.end()));
  }
}

// Chooses by the token before and the sequence's seed, as hash layers do; the plain form is told both.
struct ByToken : RowStage {
  ByToken(const Ids* ids, uint64_t seed) : ids(ids), seed(seed) {}
  uint32_t needs() const override { return ids ? 0 : needs::sequence; }
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    const std::span<const int32_t> seen = ids ? std::span(*ids).first(in.position + 1) : in.sequence->ids;
    ASSERT_EQ(seen.size(), in.position + 1);
    boost(candidates, static_cast<size_t>(seen[seen.size() > 1 ? seen.size() - 2 : 0]) + (ids ? seed : in.sequence->seed));
  }
  const Ids* ids;
  uint64_t seed;
};

TEST(Seams, TokenIdsAndTheSeed) {
  std::mt19937 rng(8);
  const auto model = own_model("deepseek_v3");
  const Ids ids = random_ids(rng, 23);
  auto toy = [&](const char* name, const Ids* told, uint64_t seed) {
    return routing(*model, name, [=](const Site& site) { return entries(std::make_unique<ByToken>(told, seed), std::make_unique<Own>(site)); });
  };
  SessionOptions small = exact();
  small.chunk = 4;
  Session session(model, small);
  session.add_routing(toy("by token", nullptr, 0));
  std::vector<Append> batch;
  for (uint64_t seed : {3, 8}) batch.push_back({session.add_sequence("by token", seed), ids, WantLogits::all});
  const auto together = session.evaluate(batch);
  EXPECT_EQ(together[0], whole(model, ids, toy("told", &ids, 3)));
  EXPECT_EQ(together[1], whole(model, ids, toy("told", &ids, 8)));
  EXPECT_NE(together[0], together[1]);
  const auto path = std::filesystem::temp_directory_path() / ("moiety-seed-" + std::to_string(::getpid()));
  session.save(batch[1].sequence, path);
  const uint32_t loaded = session.load(path);
  std::filesystem::remove(path);
  session.truncate(loaded, 10);
  EXPECT_EQ(append(session, loaded, std::span(ids).subspan(10)), Logits(together[1].begin() + 10 * vocab, together[1].end()));
}

TEST(Seams, ASavedRoutingMustBeKnown) {
  const auto model = own_model("mixtral");
  Session session(model, exact()), second(model, exact());
  session.add_routing(stateful(*model, true));
  const auto path = std::filesystem::temp_directory_path() / ("moiety-unknown-" + std::to_string(::getpid()));
  session.save(session.add_sequence("stateful"), path);
  EXPECT_THROW(second.load(path), Error);
  std::filesystem::remove(path);
}

// Four experts for a row out of `ids`, the same records whatever their number. In each row ids ascend as their records do.
struct ShortList : SourceStage {
  ShortList(uint32_t ids, uint32_t records) : ids(ids), records(records) {}
  void forward(const RoutingInput& in, std::vector<Candidate>& candidates, std::span<float>) const override {
    const uint32_t pages = ids / records, page = (in.position * 7919 + in.site * 104'729) % (pages > 8 ? pages - 8 : 1);
    for (uint32_t r = in.position % 2; r < 8; r += 2) {
      const float weight = 1.0f / static_cast<float>(2 + r);
      candidates.push_back({(page + (pages > 8 ? r : 0)) * records + r, weight, weight});
    }
  }
  uint32_t ids, records;
};

TEST(Seams, AShortListOutOfAMillion) {
  std::mt19937 rng(5);
  for (const char* name : {"mixtral", "deepseek_v3"}) {
    const Ids ids = random_ids(rng, 20);
    auto list = [](const Model& model, uint32_t records) {
      return routing(model, "list", [records](const Site& site) { return entries(std::make_unique<ShortList>(site.bank->size(), records)); });
    };
    const auto small = own_model(name);
    const uint32_t records = small->sites[0]->bank->size();
    const auto wide = own_model(name, [&](const Site& site) { return std::make_shared<AliasBank>(site.bank, 1'000'000 / records * records); });
    EXPECT_EQ(whole(wide, ids, list(*wide, records)), whole(small, ids, list(*small, records))) << name;
  }
}

TEST(Seams, TwoTextsInOneBatch) {
  std::mt19937 rng(6);
  for (const char* name : mixtures) {
    const auto model = own_model(name);
    const char* texts[] = {"@model", "softmax | top_k(1)", "drop(0,2) | @model | renorm", "layers 1: softmax | top_p(0.7, max=3) | renorm; all: @model"};
    Session session(model, exact());
    std::vector<Ids> ids;
    std::vector<Append> batch;
    for (size_t i = 0; i < 8; i++) ids.push_back(random_ids(rng, 1 + rng() % 12));
    for (size_t i = 0; i < ids.size(); i++) batch.push_back({session.add_sequence(texts[i % 4]), ids[i], WantLogits::all});
    const auto together = session.evaluate(batch);
    for (size_t i = 0; i < ids.size(); i++) {
      SessionOptions alone = exact();
      alone.routing = texts[i % 4];
      Session other(model, alone);
      EXPECT_EQ(together[i], append(other, other.add_sequence(), ids[i])) << name << ": " << texts[i % 4];
    }
  }
}

TEST(Seams, CohortsAreRefusedBeforeAnythingIsComputed) {
  struct Nothing : CohortStage {
    void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>>) const override {}
  };
  const auto model = own_model("mixtral");
  Session session(model, exact());
  EXPECT_THROW(session.add_routing(routing(*model, "cohort", [](const Site&) { return entries(std::make_unique<Nothing>()); })), UsageError);
  EXPECT_THROW(session.add_sequence("cohort"), UsageError);
}

// --- observer -------------------------------------------------------------------------------------------------------------------------

// Rebuilds every mixture from what it is told: outputs times weights, in ascending id.
struct Witness : Observer {
  std::vector<std::vector<float>> features;  // of the site that routed last, by row
  std::vector<std::map<uint32_t, float>> plan;
  size_t sites = 0, experts = 0, blocks = 0;
  std::map<size_t, std::map<uint32_t, Logits>> outputs;  // by row and expert

  void routed(const Site& site, std::span<const StepRow> rows, ConstRows x, ConstRows scores, const RoutingPlan& routed) override {
    sites++;
    ASSERT_EQ(routed.rows(), rows.size());
    ASSERT_EQ(scores.cols, site.router.weight.rows);
    features.clear(), plan.clear(), outputs.clear();
    for (size_t r = 0; r < rows.size(); r++) {
      features.emplace_back(x[r], x[r] + x.cols);
      auto& choices = plan.emplace_back();
      for (const Choice& c : routed[r]) choices[c.expert] = c.weight;
    }
  }
  bool watches_experts() const override { return true; }
  void expert_ran(const Site&, uint32_t expert, std::span<const uint32_t> rows, ConstRows input, ConstRows inner, ConstRows output) override {
    experts++;
    EXPECT_GT(inner.cols, 0u);
    for (size_t i = 0; i < rows.size(); i++) {
      EXPECT_EQ(Logits(input[i], input[i] + input.cols), features[rows[i]]);
      EXPECT_TRUE(plan[rows[i]].contains(expert));
      outputs[rows[i]][expert].assign(output[i], output[i] + output.cols);
    }
  }
  // Mixtral adds nothing but the mixture after its attention: after - (sum of outputs) must be what went into the norm before it.
  void block_ran(const Block& block, std::span<const StepRow> rows, ConstRows before, ConstRows after) override {
    blocks++;
    for (size_t r = 0; r < rows.size(); r++) {
      ASSERT_EQ(outputs[r].size(), plan[r].size());
      std::vector<double> entered(after[r], after[r] + after.cols);
      for (const auto& [expert, output] : outputs[r])
        for (size_t i = 0; i < output.size(); i++) entered[i] -= double(plan[r][expert]) * output[i];
      double squares = 0, distance = 0;
      for (double v : entered) squares += v * v;
      const double root = std::sqrt(squares / static_cast<double>(entered.size()) + 1e-5);
      for (size_t i = 0; i < entered.size(); i++) {
        EXPECT_NEAR(entered[i] / root * block.ffn_norm.weight[i], features[r][i], 1e-4);
        distance += std::abs(entered[i] - before[r][i]);
      }
      EXPECT_GT(distance, 0) << "attention has added something";
    }
  }
};

TEST(Seams, AnObserverSeesEverythingAndChangesNothing) {
  std::mt19937 rng(7);
  for (const char* name : mixtures) {
    const auto model = own_model(name);
    const Ids ids = random_ids(rng, 12);
    Session session(model, exact());
    Observer nothing;
    EXPECT_EQ(append(session, session.add_sequence(), ids, &nothing), whole(model, ids)) << name;
  }
  const auto model = own_model("mixtral");
  const Ids ids = random_ids(rng, 12);
  Session session(model, exact());
  Witness witness;
  EXPECT_EQ(append(session, session.add_sequence(), ids, &witness), whole(model, ids));
  EXPECT_EQ(witness.sites, model->sites.size());
  EXPECT_EQ(witness.blocks, model->blocks.size());
  EXPECT_GT(witness.experts, witness.sites);
}

}  // namespace
}  // namespace moiety
