// What the verbs share: options of the model, and lists of ids.
#include <cstdio>

#include "apps/verbs.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/size.h"
#include "engine/memory.h"
#include "kernels/panel.h"
#include "model/checkpoint.h"

namespace moiety {

void add_model_options(CLI::App& verb, ModelOptions& o) {
  verb.add_option("MODEL", o.model, "a GGUF file (the first of several), a Hugging Face directory, or the name of a model in models/")->required();
  verb.add_option("-t,--threads", o.threads, "threads (default: the cores that affinity and cgroup allow)")->check(CLI::Range(1, 1024));
  verb.add_option("--memory", o.memory, "budget of the process: bytes, 512M, 2G, 1.5GiB (default: no limit)");
  verb.add_option("--seed", o.seed, "seed of everything random (default 0)");
  verb.add_option("--compute", o.compute, "f32: the reference arithmetic; auto: the fastest for the file's types (default auto)")
      ->check(CLI::IsMember({"f32", "auto"}));
  verb.add_option("--routing", o.routing, "routing text instead of the model's own, see `moiety routing list` (default @model)");
  verb.add_flag("--allow-batch-dependent", o.allow_batch_dependent, "consent to stages that look beyond a token's own past");
  verb.add_option("--kv", o.cache, "type of the cache: f32, f16, bf16, q8_0 (default f16; with --compute f32: f32)")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}));
  verb.add_option("-c,--context", o.context, "positions of a sequence (default: the trained length, at most 4096)")->check(CLI::Range(1, 1 << 30));
  verb.add_option("--chunk", o.chunk, "prompt tokens computed at once; never changes a result (default 512)")->check(CLI::Range(1, 1 << 20));
  verb.add_flag("--check", o.check, "look at every weight for NaN and infinity first; in a packed file, compare the checksums");
  verb.add_flag("--json", o.json, "one JSON document on stdout");
  CLI::App* v = &verb;
  verb.parse_complete_callback([v, &o] {
    if (o.compute == "f32" && v->count("--kv") == 0) o.cache = "f32";
  });
}

namespace {

// Refuses what does not fit into --memory, before anything of it is loaded.
void check_budget(const ModelOptions& o, const std::filesystem::path& path) {
  const uint64_t budget = parse_size(o.memory);
  const Checkpoint file = Checkpoint::open(path);
  uint64_t weights = 0;
  for (const Tensor& tensor : file.tensors()) {
    const size_t numbers = tensor.bytes.size() / type_info(tensor.type).block_bytes * type_info(tensor.type).block;
    // Kernel order widens the scales of K types, and TQ1_0.
    weights += o.compute == "auto" && !file.packed() && has_panels(tensor.type) ? panel_bytes(tensor.type, numbers) / panel_rows : tensor.bytes.size();
  }
  MemoryNeed need = memory_need(file.config(), weights, session_options(o));
  need.cache_bytes *= o.sequences;
  need.work_bytes += o.kept_logits * file.config().vocab * sizeof(float);
  if (need.total() <= budget) return;
  throw Error("{}: needs {} ({} of weights, {} of cache, {} to work in), --memory is {}; a smaller --context or --chunk, --kv q8_0, or a smaller "
              "file (`moiety convert --type q4_k`) needs less",
              path.string(), show_size(need.total()), show_size(need.weight_bytes), show_size(need.cache_bytes), show_size(need.work_bytes), show_size(budget));
}

}  // namespace

std::shared_ptr<const Model> open_model(const ModelOptions& o, bool quiet) {
  LoadOptions load;
  load.check = o.check;
  load.pack = o.compute == "auto";
  load.threads = o.threads;
  load.progress = show_progress("loading", "bytes", quiet);
  if (!o.memory.empty()) check_budget(o, find_model(o.model));
  auto model = load_model(find_model(o.model), load);
  load.progress = {};  // before the first note
  if (!quiet)
    for (const std::string& note : model->notes) std::fprintf(stderr, "%s: %s\n", o.model.c_str(), note.c_str());
  return model;
}

SessionOptions session_options(const ModelOptions& o) {
  SessionOptions s;
  s.threads = o.threads;
  s.cache_type = *type_by_name(o.cache);
  s.context = o.context;
  s.chunk = o.chunk;
  s.routing = o.routing;
  s.allow_batch_dependent = o.allow_batch_dependent;
  return s;
}

std::vector<std::vector<int32_t>> read_id_lists(const std::filesystem::path& path) {
  return parse_id_lists(read_text_file(path), path.string());
}

}  // namespace moiety
