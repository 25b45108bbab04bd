// Speed of the panel products, one thread: per type, rows that share the weights, and whether the weights lie in the second-level cache or
// stream from memory (1.5 GiB, since some third-level caches keep half a GiB); of the types that are taken apart at use, also of that alone; of
// one row's product with weights that lie together in runs of so many panels only, as experts do; of the attention of one row over a long cache: per
// type of the cache, heads, key heads and positions; and of drawing a token from a row of logits.
//
//   make bench && build/kernels_bench --benchmark_filter='q4_k/rows:8'
//   MOIETY_ISA=avx2 build/kernels_bench
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/huge_pages.h"
#include "decode/sampler.h"
#include "kernels/attention.h"
#include "kernels/isa.h"
#include "kernels/panel_product.h"

namespace moiety {
namespace {

constexpr size_t cols = 2048;

struct Weights {
  TensorType type;
  size_t bytes, count;  // of a panel; panels
  std::shared_ptr<std::byte> memory;
  Matrix matrix() const { return {type, count * panel_rows, cols, nullptr, 0, memory.get()}; }
};

// Any bytes are weights; scales are made finite by clearing their exponents' tops. Huge pages, as the packer takes them.
Weights random_weights(TensorType type, size_t size) {
  Weights w{type, panel_bytes(type, cols), 0, {}};
  w.count = std::max<size_t>(1, size / w.bytes);
  w.memory = huge_pages(w.count * w.bytes);
  std::mt19937_64 random(1);
  auto* words = reinterpret_cast<uint64_t*>(w.memory.get());
  for (size_t i = 0; i < w.count * w.bytes / 8; i++) words[i] = random() & 0x3fff3fff3fff3fff;
  return w;
}

void product(benchmark::State& state, TensorType type, bool streaming) {
  const size_t rows = static_cast<size_t>(state.range(0));
  const Weights w = random_weights(type, streaming ? size_t{3} << 29 : size_t{256} << 10);
  std::vector<float> x(rows * cols, 0.5f);
  Workers alone(1);
  Activations activations{ConstRows{x.data(), rows, cols, cols}};
  const RowPointers pointers(type, activations, alone);
  std::vector<const void*> row(rows);
  for (size_t r = 0; r < rows; r++) row[r] = pointers[r];
  std::vector<float> out(rows * 2 * panel_rows);
  const PanelKernel kernel = panel_kernel_of(panel_kernels(), type);
  const Matrix matrix = w.matrix();
  PanelRoom room;
  for (auto _ : state)
    ReadyPanels::each_part(matrix, 0, w.count, rows, [&](size_t begin, size_t end) {
      const ReadyPanels ready(matrix, begin, end, room);
      for (size_t p = begin; p < end; p += 2) kernel(ready.pair(p, ready[std::min(p + 2, end)], !streaming), cols, row.data(), rows, reinterpret_cast<PairOutputs*>(out.data()));
    });
  const double macs = static_cast<double>(w.count * panel_rows * cols * rows);
  state.counters["GMAC/s"] = benchmark::Counter(macs / 1e9, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(w.count * w.bytes) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

// Runs of panels in any order, each once.
void runs(benchmark::State& state) {
  const size_t together = static_cast<size_t>(state.range(0));
  const Weights w = random_weights(TensorType::q4_0, size_t{3} << 29);
  const Matrix matrix = w.matrix();
  const std::vector<float> x(cols, 0.5f);
  Q8Rows quantised;
  const void* row = RowPointers(w.type, ConstRows{x.data(), 1, cols, cols}, quantised)[0];
  PanelRoom room;
  const ReadyPanels panels(matrix, 0, w.count, room);
  std::vector<size_t> begins;
  for (size_t p = 0; p + together <= w.count; p += together) begins.push_back(p);
  std::ranges::shuffle(begins, std::mt19937(1));
  const PanelKernel kernel = panel_kernel_of(panel_kernels(), w.type);
  PairOutputs out;
  for (auto _ : state)
    for (size_t i = 0; i < begins.size(); i++)
      for (size_t p = begins[i], end = p + together; p < end; p += 2)
        kernel(panels.pair(p, panels[p + 2 < end ? p + 2 : begins[(i + 1) % begins.size()]], false), cols, &row, 1, &out);
  state.counters["MB"] = static_cast<double>(together * w.bytes) / 1e6;
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(begins.size() * together * w.bytes) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

// Caches of several layers, together larger than the processor's, one after another, as a generated token meets them.
void attention(benchmark::State& state, TensorType type) {
  const size_t heads = static_cast<size_t>(state.range(0)), kv_heads = static_cast<size_t>(state.range(1)), depth = static_cast<size_t>(state.range(2));
  constexpr size_t size = 128, layers = 4;
  const size_t width = kv_heads * size, row_bytes = bytes_of(type, width), cache_bytes = depth * row_bytes;
  const std::shared_ptr<std::byte> memory = huge_pages(2 * layers * cache_bytes);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> row(width), query(heads * size), out(heads * size);
  for (float& x : query) x = normal(random);
  for (size_t i = 0; i < 2 * layers * depth; i++) {
    if (i < 64)
      for (float& x : row) x = normal(random);
    store_row(row, type, memory.get() + i * row_bytes);
  }
  const AttentionShape shape{.heads = heads, .kv_heads = kv_heads, .key_size = size, .value_size = size, .scale = 0.09f, .sinks = {}};
  Workers workers(static_cast<size_t>(state.range(3)));
  for (auto _ : state)
    for (size_t layer = 0; layer < layers; layer++) {
      const std::byte* keys = memory.get() + 2 * layer * cache_bytes;
      const AttentionRow one{query.data(), {type, keys, width, row_bytes}, {type, keys + cache_bytes, width, row_bytes}, 0, depth, out.data()};
      attend(shape, {&one, 1}, workers);
    }
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(2 * layers * cache_bytes) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

void take_apart(benchmark::State& state, TensorType type) {
  const Weights w = random_weights(type, size_t{256} << 10);
  PanelRoom room;
  for (auto _ : state)
    for (size_t p = 0; p < w.count; p++) benchmark::DoNotOptimize(ReadyPanels(w.matrix(), p, p + 1, room)[p]);
  state.counters["Gweights/s"] = benchmark::Counter(static_cast<double>(w.count * panel_rows * cols) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
}

// Logits of 151936 tokens spread as normal numbers times three: flatter than a text's, so more of them count.
void draw(benchmark::State& state, const SamplingOptions& options) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(151936);
  for (float& x : logits) x = normal(random);
  const Sampler sampler(options, logits.size());
  std::vector<int32_t> history(100);
  for (auto _ : state) history.push_back(sampler.next(logits, history));
}

void add_all() {
  SamplingOptions greedy, top_p, plain;
  greedy.temperature = 0;
  top_p.top_k = plain.top_k = 0;
  top_p.min_p = plain.min_p = 0;
  plain.top_p = 1;
  benchmark::RegisterBenchmark("draw/default", draw, SamplingOptions());
  benchmark::RegisterBenchmark("draw/greedy", draw, greedy);
  benchmark::RegisterBenchmark("draw/top_p", draw, top_p);
  benchmark::RegisterBenchmark("draw/plain", draw, plain);
  for (TensorType type : {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0})
    benchmark::RegisterBenchmark(fmt::format("attention/{}", type_info(type).name).c_str(), attention, type)
        ->ArgNames({"heads", "kv_heads", "depth", "threads"})->ArgsProduct({{16}, {16}, {4096}, {1, 2}})->ArgsProduct({{32}, {4}, {4096}, {1, 2}})->UseRealTime();
  benchmark::RegisterBenchmark("runs/Q4_0", runs)->ArgName("together")->RangeMultiplier(2)->Range(2, 256);
  std::vector<TensorType> types;
  for (const PanelFormat& f : panel_formats) types.push_back(f.type);
  for (TensorType type : {TensorType::bf16, TensorType::f16, TensorType::f32}) types.push_back(type);
  for (TensorType type : types)
    for (bool streaming : {false, true})
      benchmark::RegisterBenchmark(fmt::format("{}/{}", type_info(type).name, streaming ? "memory" : "cache").c_str(), product, type, streaming)
          ->ArgName("rows")->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Arg(32);
  for (const PanelFormat& f : panel_formats)
    if (f.at_use) benchmark::RegisterBenchmark(fmt::format("{}/apart", type_info(f.type).name).c_str(), take_apart, f.type);
}

}  // namespace
}  // namespace moiety

int main(int argc, char** argv) {
  moiety::choose_isa();
  moiety::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::AddCustomContext("instruction set", std::string(moiety::isa_name(moiety::current_isa())));
  benchmark::RunSpecifiedBenchmarks();
}
