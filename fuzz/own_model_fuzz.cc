// A configuration of Moiety's own family of any text, with weights that fit it: refused with an Error, or a model that a file holds and that gives a token
// the same bits alone and among others.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "engine/session.h"
#include "formats/gguf.h"
#include "fuzz/input.h"
#include "model/config_gguf.h"
#include "model/config_hf.h"
#include "model/load.h"
#include "model/names.h"

namespace {

using namespace moiety;

// What is larger is refused here: a finding should be small, and quick.
bool is_small(const Config& c) {
  uint64_t experts = 0, parts = c.blocks.size();
  for (const BlockConfig& b : c.blocks) {
    if (!b.experts) continue;
    experts += b.experts->ids(), parts += b.experts->groups.size() + b.experts->shared.size();
  }
  if (experts > 256 || parts > 64) return false;
  uint64_t numbers = 0;
  for (const CanonicalTensor& t : canonical_tensors(c)) {
    if (t.count > 256 || t.rows > 1 << 17 || t.cols > 1 << 17) return false;
    numbers += t.count * t.rows * t.cols;
  }
  return numbers <= 1 << 18;
}

std::vector<GgufPlannedTensor> weights_of(const Config& c) {
  std::vector<GgufPlannedTensor> out;
  for (const CanonicalTensor& t : canonical_tensors(c)) {
    std::vector<uint64_t> shape = t.vector ? std::vector<uint64_t>{t.rows} : std::vector<uint64_t>{t.rows, t.cols};
    if (t.stack) shape.insert(shape.begin(), t.count);
    if (t.name == "ffn_gate_inp_shexp.weight") shape = {t.cols};
    const bool table = t.name == "ffn_route_table";  // numbers of experts: all tokens go to the first
    out.push_back({canonical_name(t.name, t.block), TensorType::f32, shape, [table](std::span<std::byte> bytes) {
                     for (size_t i = 0; i < bytes.size() / sizeof(float); i++) {
                       const float value = table ? 0 : static_cast<float>(i * 2654435761u % 1024) / 1024 - 0.45f;
                       std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
                     }
                   }});
  }
  return out;
}

void compute(const std::filesystem::path& path) {
  Session session(load_model(path), {.threads = 1, .cache_type = TensorType::f32, .context = 16});
  const int32_t last = static_cast<int32_t>(session.model().config.vocab) - 1;
  const std::vector<int32_t> ids{0, last, last / 2};
  const Append all{session.add_sequence(), ids, WantLogits::all};
  const std::vector<float> together = session.evaluate({&all, 1})[0];
  const uint32_t alone = session.add_sequence();
  for (size_t i = 0; i < ids.size(); i++) {
    const Append one{alone, {&ids[i], 1}, WantLogits::all};
    const std::vector<float> logits = session.evaluate({&one, 1})[0];
    if (std::memcmp(logits.data(), together.data() + i * logits.size(), logits.size() * sizeof(float)) != 0) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::filesystem::path path = std::filesystem::temp_directory_path() / ("moiety-fuzz-" + std::to_string(getpid()) + ".gguf");
  return refuses_with_error([&] {
    nlohmann::json json = parse_json(as_text(data, size), "fuzz");
    if (!json.is_object()) return;
    json["model_type"] = "moiety";
    const Config config = read_hf_config(json, nlohmann::json::object(), "fuzz");
    if (!is_small(config)) return;
    write_gguf(path, gguf_metadata(config, json, "fuzz"), weights_of(config));
    compute(path);
  });
}
