// Whole runs: what they learn, that they go on with the same bits, and what they refuse.
#include "learn/run.h"

#include <gtest/gtest.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "engine/session.h"
#include "formats/safetensors.h"
#include "kernels/isa.h"
#include "learn/checkpoint.h"
#include "learn/rules.h"
#include "model/load.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

class Runs : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("runs-" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    std::ofstream numbers(folder_ / "numbers.txt"), words(folder_ / "words.txt");
    for (int i = 0; i < 400; i++) numbers << i << " plus " << i % 7 << " is " << i + i % 7 << (i % 5 ? "\n" : "\f");
    for (int i = 0; i < 400; i++) words << "the " << (i % 3 ? "small" : "large") << " house stands by the " << (i % 4 ? "river" : "wood") << (i % 5 ? "\n" : "\f");
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, uint64_t steps, const std::string& ffn, const std::string& attention = "heads = 2, qk_norm = \"per_head\"", const std::string& more = "") {
    std::ofstream(folder_ / (name + ".toml")) << "seed = 3\nsteps = " << steps << "\nbatch = 4\ncheckpoint_every = 7\n" << more << R"(
[optimiser]
rate = {kind = "wsd", peak = 0.01, warmup = 3}
[model]
d = 32
context = 24
blocks = 2
[[model.block]]
attention = {)" << attention << "}\nffn = {" << ffn << R"(}
[data]
tokenizer = ")" << MOIETY_SOURCE_DIR << R"(/tests/data/tokenizers/byte_level/tokenizer.json"
validation = 0.2
[[data.source]]
files = ["numbers.txt"]
domain = "numbers"
[[data.source]]
files = ["words.txt"]
domain = "words"
weight = 2
)";
    return folder_ / (name + ".toml");
  }

  // Parameters and buffers as a description begins with, or as the newest checkpoint of `run` holds them.
  struct Described {
    Arena arena;
    std::unique_ptr<LanguageModel> model;
  };
  static std::unique_ptr<Described> described(const fs::path& config, uint64_t steps, Workers& workers, const fs::path& run = {}) {
    Description description = Description::read(config);
    description.set_steps(steps);
    auto out = std::make_unique<Described>();
    const int64_t vocabulary = static_cast<int64_t>(load_data_tokenizer(std::string(MOIETY_SOURCE_DIR) + "/tests/data/tokenizers/byte_level/tokenizer.json").tokenizer->size());
    out->model = std::make_unique<LanguageModel>(description.root().table("model"), vocabulary, out->arena);
    apply_rules(description.root(), out->arena);
    out->arena.finish(3, workers);
    if (!run.empty()) read_checkpoint(*newest_checkpoint(run), out->arena, out->model->buffers());
    return out;
  }

  static RunResult run(const fs::path& config, size_t threads = 2) { return train({.config = config, .folder = {}, .threads = threads, .quiet = true}); }

  fs::path folder_;
  const std::string moe_ = R"t(experts = 4, width = 16, routing = "softmax | top_k(2) | renorm", balance = "switch_aux(0.01) | z_loss(0.001)")t";
};

TEST_F(Runs, LearnsAndSameBitsOnAnyNumberOfThreads) {
  const RunResult one = run(write("one", 40, moe_), 1), two = run(write("two", 40, moe_), 2);
  ASSERT_EQ(one.held_out.size(), 2u);
  for (const DomainResult& d : one.held_out) EXPECT_LT(d.bits_per_byte, 3) << d.domain;  // 8 would be a byte unseen
  EXPECT_EQ(read_text_file(folder_ / "one/metrics.jsonl"), read_text_file(folder_ / "two/metrics.jsonl"));
  EXPECT_EQ(read_text_file(folder_ / "one/checkpoint-000040/state.safetensors"), read_text_file(folder_ / "two/checkpoint-000040/state.safetensors"));
}

// On every instruction set: with instructions for bf16 and without.
TEST_F(Runs, Bf16LearnsAsMuchAndSameBitsOnAnyNumberOfThreads) {
  const RunResult exact = run(write("exact", 40, moe_), 2);
  for (const char* isa : {"", "portable"}) {
    setenv("MOIETY_ISA", isa, 1);
    choose_isa();
    const auto name = [&](const char* threads) { return std::string(isa) + threads; };
    const auto bf16 = [&](const char* threads) { return write(name(threads), 40, moe_, "heads = 2, qk_norm = \"per_head\"", "precision = \"bf16\"\n"); };
    const RunResult one = run(bf16("one"), 1), two = run(bf16("two"), 2);
    for (size_t d = 0; d < 2; d++) EXPECT_NEAR(two.held_out[d].bits_per_byte, exact.held_out[d].bits_per_byte, 0.1 * exact.held_out[d].bits_per_byte);
    EXPECT_EQ(read_text_file(folder_ / name("one") / "metrics.jsonl"), read_text_file(folder_ / name("two") / "metrics.jsonl"));
    EXPECT_NE(read_text_file(folder_ / name("one") / "metrics.jsonl"), read_text_file(folder_ / "exact/metrics.jsonl"));
  }
  unsetenv("MOIETY_ISA");
  choose_isa();
}

TEST_F(Runs, GoesOnWithTheSameBits) {
  const std::string bias = R"t(experts = 4, width = 16, routing = "sigmoid | bias | top_k(2) | renorm", balance = "bias_update(0.01)")t";
  const auto bf16 = [&](const char* name) { return write(name, 25, bias, "heads = 2, qk_norm = \"per_head\"", "precision = \"bf16\"\n"); };
  run(bf16("straight"));
  EXPECT_TRUE(fs::exists(folder_ / "straight/checkpoint-000025"));
  run(bf16("broken"));
  // As if the process had been killed after the checkpoint of step 21, in the middle of writing.
  fs::remove_all(folder_ / "broken/checkpoint-000025");
  fs::create_directories(folder_ / "broken/checkpoint-000025.tmp99");
  EXPECT_EQ(newest_checkpoint(folder_ / "broken"), folder_ / "broken/checkpoint-000021");
  train({.config = {}, .folder = folder_ / "broken", .resume = true, .threads = 2, .quiet = true});
  EXPECT_FALSE(fs::exists(folder_ / "broken/checkpoint-000025.tmp99"));
  EXPECT_EQ(read_text_file(folder_ / "broken/metrics.jsonl"), read_text_file(folder_ / "straight/metrics.jsonl"));
  EXPECT_EQ(read_text_file(folder_ / "broken/checkpoint-000025/state.safetensors"), read_text_file(folder_ / "straight/checkpoint-000025/state.safetensors"));
}

// The engine's logits of what was exported, against the trainer's own of the same text.
TEST_F(Runs, TheEngineComputesTheSame) {
  const struct {
    std::string name, attention, ffn;
  } shapes[] = {{"qwen3_moe", "heads = 4, kv_heads = 2, qk_norm = \"per_head\"", moe_},
                {"olmoe", "heads = 2, qk_norm = \"whole\"", R"t(experts = 4, width = 16, routing = "softmax | top_k(2)")t"},
                {"mixtral", "heads = 2", moe_},
                {"llama", "heads = 2", R"t(kind = "dense", width = 24)t"},
                {"qwen3", "heads = 2, head = 8, qk_norm = \"per_head\"", R"t(kind = "dense", width = 24)t"},
                {"qwen2", "heads = 4, kv_heads = 2, bias = true", R"t(kind = "dense", width = 24)t"},
                // What no family of Transformers is like.
                {"biases", "heads = 2, qk_norm = \"per_head\", bias = true, output_bias = true", moe_},
                {"kinds", "heads = 2",
                 R"t(width = 32, experts = [{count = 3}, {count = 2, kind = "gelu", width = 64}, {kind = "zero"}, {kind = "copy"}, {count = 2, kind = "constant"}, {kind = "relu"}], )t"
                 R"t(routing = "softmax | top_k(4) | renorm", balance = "switch_aux(0.01, 0.5)")t"},
                {"shared", "heads = 2, qk_norm = \"whole\"",
                 R"t(experts = 4, width = 32, shared = [{count = 2, width = 32, gate = true}, {kind = "relu", width = 64}], routing = "softmax | top_k(2)")t"},
                {"ragged", "heads = 2", R"t(experts = [{count = 2, width = 64}, {count = 2, width = 32}, {count = 1, width = 7}], routing = "softmax | top_p(0.6)")t"},
                {"hash", "heads = 2", R"t(experts = 5, width = 16, routing = "hash", hash_table = "balanced")t"},
                {"bias", "heads = 2", R"t(experts = 5, width = 16, routing = "sigmoid | bias | top_k(2) | renorm", balance = "bias_update(0.05)")t"},
                {"residual", "heads = 2",
                 R"t(width = 32, experts = [{count = 3}, {kind = "zero"}, {kind = "copy"}], routing = "softmax | top_k(2)", balance = "switch_aux(0.01, 0.5)", gating_residual = true)t"},
                {"residuals", "heads = 2}\nffn = {kind = \"moe\", experts = 6, width = 16, routing = \"softmax | top_k(2)\"}\n[[model.block]]\nattention = {heads = 2",
                 R"t(experts = 5, width = 16, routing = "sigmoid | bias | top_k(2) | renorm", balance = "bias_update(0.05)", gating_residual = true)t"},
                // Heads that serve training alone.
                {"multi_token", "heads = 4, kv_heads = 2, qk_norm = \"per_head\"",
                 moe_ + "}\n[model.head]\nkind = \"multi_token\"\nahead = 2\nblock = {attention = {heads = 2}, ffn = {kind = \"dense\", width = 8}"},
                {"multi_token_bias", "heads = 2",
                 R"t(experts = 5, width = 16, routing = "sigmoid | bias | top_k(2) | renorm", balance = "bias_update(0.05)"})t"
                 "\n[model.head]\nkind = \"multi_token\"\nweight = {kind = \"linear\", from = 0.3, to = 0.1"},
                {"capacity", "heads = 2", R"t(experts = 5, width = 16, routing = "softmax | top_k(2) | capacity(1.25)")t"},
                {"window", "heads = 4, kv_heads = 2, window = 3, qk_norm = \"per_head\"", moe_},
                {"blocks", "heads = 2, window = 4, rope = 300}\nffn = {kind = \"dense\", width = 24}\n[[model.block]]\nattention = {heads = 4, kv_heads = 1, head = 6, qk_norm = \"whole\"",
                 R"t(experts = [{count = 2, width = 32}, {kind = "copy"}], routing = "softmax | top_k(1)")t"}};
  for (const auto& shape : shapes) {
    SCOPED_TRACE(shape.name);
    const fs::path config = write(shape.name, 10, shape.ffn, shape.attention);
    const RunResult r = run(config);
    Workers workers(2);
    const auto trained = described(config, 10, workers, r.folder);
    const std::vector<int32_t> ids{5, 90, 17, 40, 41, 200, 90, 17, 3};
    const int64_t rows = static_cast<int64_t>(ids.size());
    Pass pass{workers, nullptr, {}};
    TrainingStep step{pass};
    step.training = false;
    const at::NoGradGuard no_graph;
    const at::Tensor hidden = trained->model->hidden({rows, rows, at::tensor(ids, at::kInt)}, step), expected = at::matmul(hidden, trained->arena.value(0).t());
    Session session(load_model(r.model), {.threads = 2, .cache_type = TensorType::f32});
    const Append append{session.add_sequence(), ids, WantLogits::all};
    const std::vector<float> logits = session.evaluate({&append, 1})[0];
    ASSERT_EQ(static_cast<int64_t>(logits.size()), expected.numel());
    double error = 0, size = 0;
    for (size_t i = 0; i < logits.size(); i++) {
      ASSERT_TRUE(std::isfinite(logits[i]));
      error = std::max(error, std::abs(static_cast<double>(logits[i]) - expected.data_ptr<float>()[i]));
      size = std::max(size, std::abs(static_cast<double>(logits[i])));
    }
    EXPECT_LE(error, 1e-5 * size);
    // Fused or expert by expert, the engine gives the same bits.
    struct Watcher : Observer {
      bool watches_experts() const override { return true; }
    } watcher;
    const Append again{session.add_sequence(), ids, WantLogits::all};
    EXPECT_EQ(session.evaluate({&again, 1}, &watcher)[0], logits);
  }
}

TEST_F(Runs, FrozenParametersStayAsTheyWere) {
  const std::string rule = "[[rule]]\nmatch = \"blk.0.*\"\nfreeze = true\n[[rule]]\nmatch = \"token_embd.weight\"\nfreeze = true\n";
  const RunResult r = run(write("frozen", 5, moe_, "heads = 2", rule));
  Workers workers(2);
  const auto first = described(folder_ / "frozen.toml", 5, workers), last = described(folder_ / "frozen.toml", 5, workers, r.folder);
  Arena *before = &first->arena, *after = &last->arena;
  for (const Parameter& p : before->parameters()) {
    const bool frozen = p.name.starts_with("blk.0.") || p.name == "token_embd.weight";
    const bool same = std::equal(before->values() + p.at, before->values() + p.at + p.count, after->values() + p.at);
    EXPECT_EQ(same, frozen) << p.name;
  }
}

// Groups and experts that rules name: what is frozen keeps its bits, the rest moves.
TEST_F(Runs, RulesNameGroupsAndExperts) {
  const auto freezes = [](const std::string& which) { return "[[rule]]\nwhich = \"" + which + "\"\nfreeze = true\n"; };
  const auto moves = [](const std::string& which) { return "[[rule]]\nwhich = \"" + which + "\"\n"; };
  struct Case {
    std::string name, rules;
    std::function<bool(const std::string& parameter, size_t expert)> frozen;
  };
  const auto stack = [](const std::string& name) { return name.find("_exps.") != std::string::npos; };
  const Case cases[] = {
      {"router", moves("router") + freezes("all"), [](const std::string& name, size_t) { return name.find("ffn_gate_inp") == std::string::npos; }},
      {"some", moves("experts 1:0-1, 0:3") + freezes("all"),
       [&](const std::string& name, size_t e) { return !(stack(name) && (name.starts_with("blk.1.") ? e <= 1 : e == 3)); }},
      {"others", freezes("experts 2"), [&](const std::string& name, size_t e) { return stack(name) && e == 2; }}};
  Workers workers(2);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const RunResult r = run(write("rules-" + c.name, 4, moe_, "heads = 2", c.rules));
    const fs::path config = folder_ / ("rules-" + c.name + ".toml");
    const auto first = described(config, 4, workers), last = described(config, 4, workers, r.folder);
    Arena *before = &first->arena, *after = &last->arena;
    for (const Parameter& p : before->parameters()) {
      const size_t parts = stack(p.name) ? 4 : 1, size = p.count / parts;
      for (size_t e = 0; e < parts; e++) {
        const float* from = before->values() + p.at + e * size;
        EXPECT_EQ(std::equal(from, from + size, after->values() + p.at + e * size), c.frozen(p.name, e)) << p.name << " " << e;
      }
    }
  }
}

// The arrays of a safetensors file, by name.
std::map<std::string, std::vector<float>> arrays_in(const fs::path& file) {
  const MappedFile mapped(file.string());
  std::map<std::string, std::vector<float>> out;
  for (const Tensor& t : parse_safetensors(mapped.bytes(), file.string())) {
    std::vector<float>& numbers = out[t.name];
    numbers.resize(t.bytes.size() / sizeof(float));
    std::memcpy(numbers.data(), t.bytes.data(), t.bytes.size());
  }
  return out;
}

TEST_F(Runs, AnAverageOfTheWeightsIsWhatIsUsed) {
  const auto config = [&](const std::string& name) {
    const fs::path path = write(name, 6, moe_, "heads = 2, qk_norm = \"per_head\"", "evaluate_every = 6\nkeep = 9\nclip = 0");
    std::string text = read_text_file(path);
    text.replace(text.find("checkpoint_every = 7"), 20, "checkpoint_every = 1");
    text.replace(text.find("[optimiser]"), 11, "[optimiser]\nema = 0.3");
    std::ofstream(path) << text;
    return path;
  };
  const RunResult r = run(config("averaged"));
  const auto checkpoint = [&](const std::string& name, int step) { return arrays_in(folder_ / name / fmt::format("checkpoint-{:06}", step) / "state.safetensors"); };
  for (int step = 2; step <= 6; step++) {
    const auto before = checkpoint("averaged", step - 1), now = checkpoint("averaged", step);
    const double keep = std::min(0.3, static_cast<double>(step) / (9 + step));
    for (const char* name : {"token_embd.weight", "blk.1.ffn_gate_up_exps.weight"}) {
      const auto &average = now.at(name + std::string(".ema")), &last = before.at(name + std::string(".ema")), &weights = now.at(name);
      double moved = 0;
      for (size_t i = 0; i < weights.size(); i++) {
        ASSERT_NEAR(average[i], keep * last[i] + (1 - keep) * weights[i], 1e-6) << name << " " << step;
        moved = std::max(moved, std::abs(static_cast<double>(average[i]) - weights[i]));
      }
      EXPECT_GT(moved, 1e-5);
    }
  }
  EXPECT_EQ(arrays_in(r.model / "model.safetensors").at("model.embed_tokens.weight"), checkpoint("averaged", 6).at("token_embd.weight.ema"));
  run(config("broken"));
  for (int step : {5, 6}) fs::remove_all(folder_ / fmt::format("broken/checkpoint-00000{}", step));
  train({.config = {}, .folder = folder_ / "broken", .resume = true, .threads = 1, .quiet = true});
  EXPECT_EQ(read_text_file(folder_ / "broken/metrics.jsonl"), read_text_file(folder_ / "averaged/metrics.jsonl"));
  EXPECT_EQ(read_text_file(folder_ / "broken/checkpoint-000006/state.safetensors"), read_text_file(folder_ / "averaged/checkpoint-000006/state.safetensors"));
}

TEST_F(Runs, SamLearnsAndGoesOnWithTheSameBits) {
  const std::string more = "objective = {kind = \"sam\", rho = 0.05}";
  const RunResult straight = run(write("sam", 21, moe_, "heads = 2", more), 1);
  for (const DomainResult& d : straight.held_out) EXPECT_LT(d.bits_per_byte, 4) << d.domain;
  run(write("sam-broken", 21, moe_, "heads = 2", more));
  fs::remove_all(folder_ / "sam-broken/checkpoint-000021");
  train({.config = {}, .folder = folder_ / "sam-broken", .resume = true, .threads = 2, .quiet = true});
  for (const char* file : {"metrics.jsonl", "checkpoint-000021/state.safetensors"})
    EXPECT_EQ(read_text_file(folder_ / "sam" / file), read_text_file(folder_ / "sam-broken" / file)) << file;
}

// Sites without a router, choices by chance, stages that leave when the model is used: they train, go on with the same bits, and are measured.
TEST_F(Runs, StagesOfTrainingGoOnWithTheSameBits) {
  const std::pair<std::string, std::string> ffns[] = {
      {"hash", R"t(experts = 4, width = 16, routing = "hash", hash_table = "balanced")t"},
      {"switch", R"t(experts = 4, width = 16, routing = "noise(0.1) | softmax | top_k(1) | capacity(1)", balance = "sequence_aux(0.01) | entropy(0.001)")t"},
      {"random", R"t(experts = 4, width = 16, routing = "softmax | random | top_k(2) | renorm")t"}};
  for (const auto& [name, ffn] : ffns) {
    SCOPED_TRACE(name);
    const RunResult straight = run(write(name, 16, ffn), 1);
    for (const DomainResult& d : straight.held_out) EXPECT_LT(d.bits_per_byte, 6);
    run(write(name + "-broken", 16, ffn));
    fs::remove_all(folder_ / (name + "-broken") / "checkpoint-000016");
    train({.config = {}, .folder = folder_ / (name + "-broken"), .resume = true, .threads = 2, .quiet = true});
    for (const char* file : {"metrics.jsonl", "checkpoint-000016/state.safetensors"})
      EXPECT_EQ(read_text_file(folder_ / name / file), read_text_file(folder_ / (name + "-broken") / file)) << file;
    const nlohmann::json summary = nlohmann::json::parse(read_text_file(folder_ / name / "summary.json"));
    EXPECT_EQ(summary["experts"]["per_token"], name == "random" ? 2 : 1);
    EXPECT_EQ(summary["experts"]["dropped"].get<double>() > 0, name == "switch");
    EXPECT_EQ(summary["sites"].size(), 2u);
    EXPECT_NEAR(summary["mean_bits_per_byte"].get<double>(), (straight.held_out[0].bits_per_byte + straight.held_out[1].bits_per_byte) / 2, 1e-12);
  }
  const nlohmann::json routers = nlohmann::json::parse(read_text_file(folder_ / "random/summary.json"))["parameters"], none = nlohmann::json::parse(read_text_file(folder_ / "hash/summary.json"))["parameters"];
  EXPECT_EQ(routers["total"].get<int64_t>() - none["total"].get<int64_t>(), 2 * 4 * 32);  // two routers
}

TEST_F(Runs, NamesWhatIsWrongAndWhere) {
  const auto message = [&](const fs::path& config) -> std::string {
    try {
      run(config);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_NE(message(write("a", 5, R"t(experts = 4, widht = 16, routing = "top_k(1)")t")).find("is it 'widht'?"), std::string::npos);
  EXPECT_NE(message(write("b", 5, moe_, "heads = 2", "sedd = 3")).find("did you mean 'seed'?"), std::string::npos);
  EXPECT_NE(message(write("c", 5, moe_, "heads = 2", "clip = ")).find("c.toml:5:"), std::string::npos);
  EXPECT_NE(message(write("d", 5, R"t(experts = 4, width = 16, routing = "softmax | top_j(2)")t")).find("top_k"), std::string::npos);
  EXPECT_NE(message(write("e", 5, R"t(kind = "mou")t")).find("dense, moe"), std::string::npos);
  EXPECT_NE(message(write("f", 5, R"t(experts = 4, width = 16, routing = "softmax | top_k(2)", balance = "swich_aux(1)")t")).find("switch_aux"), std::string::npos);
  EXPECT_NE(message(write("i", 5, moe_, "heads = 2", "[[rule]]\nmatch = \"blk.9.*\"")).find("no parameter is called like"), std::string::npos);
  const auto which = [&](const std::string& text) { return message(write("w", 5, moe_, "heads = 2", "[[rule]]\nwhich = \"" + text + "\"\nfreeze = true")); };
  EXPECT_NE(which("routers").find("all, router, experts"), std::string::npos);
  EXPECT_NE(which("router 3:1").find("nothing is expected"), std::string::npos);
  EXPECT_NE(which("experts 0:x").find("'0:x' is no expert"), std::string::npos);
  EXPECT_NE(which("experts 2:1").find("no layer has such"), std::string::npos);
  EXPECT_NE(which("experts 0-4").find("no layer has such"), std::string::npos);
  EXPECT_NE(which("all").find("nothing is left"), std::string::npos);
  EXPECT_NE(message(write("o", 5, moe_, "heads = 2", "objective = {kind = \"san\"}")).find("next_token, sam"), std::string::npos);
  EXPECT_NE(message(write("p", 5, moe_, "heads = 2", "objective = {rho = 1}")).find("nothing uses the key 'rho'"), std::string::npos);
  EXPECT_NE(message(write("j", 5, R"t(experts = 4, width = 16, routing = "hash")t")).find("no table"), std::string::npos);
  EXPECT_NE(message(write("k", 5, R"t(experts = 4, width = 16, routing = "hash", hash_table = "ordered")t")).find("random or balanced"), std::string::npos);
  EXPECT_NE(message(write("l", 5, R"t(experts = 4, width = 16, routing = "hash", hash_table = "random", balance = "z_loss(1)")t")).find("no router"), std::string::npos);
  EXPECT_NE(message(write("g", 0, moe_)).find("must not be 0"), std::string::npos);
  EXPECT_NE(message(write("h", 5, moe_, "heads = 3, kv_heads = 2")).find("can't share"), std::string::npos);
}

}  // namespace
}  // namespace moiety
