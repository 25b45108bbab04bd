// A token's logits have the same bits whatever happened around it: random programs of appending in batches, cutting, copying, saving and
// loading, for every family, every type of cache, and every instruction set of the machine.
#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <unistd.h>

#include <cstdlib>
#include <random>

#include "base/error.h"
#include "kernels/isa.h"
#include "tests/engine/fixture.h"

namespace moiety {
namespace {

using Ids = std::vector<int32_t>;

class Program {
 public:
  Program(std::shared_ptr<const Model> model, TensorType cache, unsigned seed)
      : model_(std::move(model)), options_(with(cache)), rng_(seed), session_(model_, changed(options_)) {
    for (int i = 0; i < 3; i++) ids_[session_.add_sequence()] = {};
  }

  void run(int steps) {
    append_to_some();
    for (int i = 0; i < steps && !testing::Test::HasFailure(); i++) {
      switch (random(5)) {
        case 0: cut(); break;
        case 1: copy(); break;
        case 2: save_and_load(); break;
        default: break;
      }
      append_to_some();
    }
  }

 private:
  static SessionOptions with(TensorType cache) {
    SessionOptions o = exact();
    o.cache_type = cache;
    return o;
  }
  SessionOptions changed(SessionOptions o) {
    o.threads = 1 + random(4), o.chunk = 1 + random(12);
    return o;
  }
  size_t random(size_t n) { return rng_() % n; }
  std::pair<const uint32_t, Ids>& any() { return *std::next(ids_.begin(), static_cast<ptrdiff_t>(random(ids_.size()))); }

  void append_to_some() {
    std::map<uint32_t, Ids> fresh;
    for (auto& [sequence, ids] : ids_) {
      if (!fresh.empty() && random(2) == 0) continue;
      Ids more(1 + random(9));
      for (int32_t& id : more) id = static_cast<int32_t>(random(model_->config.vocab));
      ids.insert(ids.end(), more.begin(), more.end());
      fresh[sequence] = std::move(more);
    }
    std::vector<Append> batch;
    for (const auto& [sequence, more] : fresh) batch.push_back({sequence, more, WantLogits::all});
    std::shuffle(batch.begin(), batch.end(), rng_);
    const auto logits = session_.evaluate(batch);
    for (size_t i = 0; i < batch.size(); i++) expect_alone(ids_[batch[i].sequence], logits[i]);
  }

  // What the last tokens of a text give when nothing else is computed, token by token, on one thread.
  void expect_alone(const Ids& ids, const std::vector<float>& logits) {
    SessionOptions o = options_;
    o.threads = 1, o.chunk = 1;
    Session alone(model_, o);
    const Append append{alone.add_sequence(), ids, WantLogits::all};
    const std::vector<float> all = alone.evaluate({&append, 1})[0];
    ASSERT_LE(logits.size(), all.size());
    const std::vector<float> last(all.end() - static_cast<ptrdiff_t>(logits.size()), all.end());
    EXPECT_EQ(logits, last) << "a text of " << ids.size() << " tokens";
  }

  void cut() {
    auto& [sequence, ids] = any();
    const size_t length = random(ids.size() + 1);
    session_.truncate(sequence, length);
    ids.resize(length);
  }
  void copy() {
    const auto& [sequence, ids] = any();
    const Ids same = ids;
    ids_[session_.copy_sequence(sequence)] = same;
  }
  void save_and_load() {
    const auto [sequence, ids] = any();
    const auto path = std::filesystem::temp_directory_path() / ("moiety-bits-" + std::to_string(::getpid()));
    session_.save(sequence, path);
    session_.remove_sequence(sequence);
    ids_.erase(sequence);
    ids_[session_.load(path)] = ids;
    std::filesystem::remove(path);
  }

  std::shared_ptr<const Model> model_;
  SessionOptions options_;
  std::mt19937 rng_;
  Session session_;
  std::map<uint32_t, Ids> ids_;
};

class SameBits : public testing::TestWithParam<Fixture> {};

TEST_P(SameBits, WhateverHappensAround) {
  const auto model = load_model(GetParam().path);
  // Where frequencies depend on the length, texts must grow into the next class of them.
  const bool by_length = std::ranges::any_of(model->config.ropes, [](const Rope& r) {
    return r.scaling == Rope::Scaling::longrope || r.scaling == Rope::Scaling::dynamic;
  });
  unsigned seed = 1;
  for (const std::string& isa : available_isas()) {
    setenv("MOIETY_ISA", isa.c_str(), 1);
    choose_isa();
    for (TensorType cache : {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0}) {
      seed++;
      SCOPED_TRACE(testing::Message() << isa << ", cache of " << type_info(cache).name << ", seed " << seed);
      try {
        Program(model, cache, seed).run(by_length ? 14 : 4);
      } catch (const UsageError&) {
        EXPECT_EQ(cache, TensorType::q8_0) << "only rows that 32 does not divide are refused";
      }
    }
    hwy::DisableTargets(0);
  }
  unsetenv("MOIETY_ISA");
}

std::vector<Fixture> own_fixtures() {
  std::vector<Fixture> out = all_fixtures();
  std::erase_if(out, [](const Fixture& f) { return f.path.string().find("tests/fixtures") == std::string::npos; });
  return out;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, SameBits, testing::ValuesIn(own_fixtures()), [](const auto& info) {
  std::string name = info.param.path.filename().string();
  std::ranges::replace_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace moiety
