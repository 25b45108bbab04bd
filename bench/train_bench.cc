// Speed of a training step on random ids: the counterpart of a plain PyTorch program (bench/train_speed.py runs both, interleaved).
//
//   build/train_bench [d layers experts top_k width vocabulary batch length] [steps] [-t threads] [f32|bf16]
//
// Prints a line a step: tokens/s, FLOP/s counted as 6 x active parameters x tokens, and the share of the peak of float32 multiplications.
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/random.h"
#include "kernels/isa.h"
#include "kernels/limits.h"
#include "learn/allocator.h"
#include "learn/model.h"
#include "learn/optimiser.h"

using namespace moiety;

int main(int argc, char** argv) {
  std::vector<int64_t> n{256, 6, 16, 2, 384, 8192, 16, 256, 5};
  size_t threads = default_thread_count(), given = 0;
  Precision precision = Precision::f32;
  for (int i = 1; i < argc; i++) {
    if (!std::strcmp(argv[i], "-t") && i + 1 < argc) threads = std::strtoull(argv[++i], nullptr, 10);
    else if (!std::strcmp(argv[i], "bf16")) precision = Precision::bf16;
    else if (std::strcmp(argv[i], "f32") && given < n.size()) n[given++] = std::atoll(argv[i]);
  }
  const int64_t d = n[0], layers = n[1], experts = n[2], top_k = n[3], width = n[4], vocabulary = n[5], batch = n[6], length = n[7];
  choose_isa();
  at::set_num_threads(1);
  keep_tensor_memory();
  Workers workers(threads);
  const double peak = measure_limits(workers).float_gmac_per_s * 2;
  const Description description = Description::parse(
      fmt::format("d = {}\ncontext = {}\nblocks = {}\n[[block]]\nattention = {{heads = {}}}\nffn = {{experts = {}, width = {}, routing = \"softmax | top_k({}) | renorm\"}}\n", d,
                  length, layers, d / 64, experts, width, top_k),
      "bench");
  Arena arena;
  LanguageModel model(description.root(), vocabulary, arena);
  arena.finish(0, workers);
  Pass pass{workers, &arena, {}, precision};
  for (uint64_t step = 0; step < static_cast<uint64_t>(n[8]); step++) {
    const auto begin = std::chrono::steady_clock::now();
    at::Tensor ids = at::empty({batch * length}, at::kInt);
    for (int64_t i = 0; i < ids.numel(); i++)
      ids.data_ptr<int32_t>()[i] = static_cast<int32_t>(uniform(step, static_cast<uint64_t>(i), RandomStream::sampling) * static_cast<double>(vocabulary));
    TrainingStep s{pass, step};
    arena.begin_step();
    const HeadResult out = model.forward({batch * length, length, ids}, ids, s);
    out.loss.backward();
    arena.end_step();
    const double norm = gradient_norm(arena, workers);
    move_parameters(arena, {.rate = 1e-3f, .step = step + 1}, norm, 0, workers);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double active = static_cast<double>(layers * (4 * d * d + top_k * 3 * width * d) + vocabulary * d);
    const double tokens = static_cast<double>(batch * length) / seconds, flops = 6 * active * tokens / 1e9;
    std::printf("step %lu: %.0f tokens/s, %.0f GFLOP/s, %.0f%% of %.0f, loss %.4f\n", static_cast<unsigned long>(step), tokens, flops, 100 * flops / peak, peak, out.loss.item<double>());
  }
}
