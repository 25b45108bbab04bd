#include "grow/upcycle.h"

#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "model/config_gguf.h"
#include "model/family.h"

namespace moiety {
namespace {

// A standard normal number for a place; Box and Muller 1958.
float normal(uint64_t seed, uint64_t position, uint32_t index) {
  const double u = 1 - uniform(seed, position, RandomStream::initial_weights, 2 * index), v = uniform(seed, position, RandomStream::initial_weights, 2 * index + 1);
  return static_cast<float>(std::sqrt(-2 * std::log(u)) * std::cos(2 * 3.14159265358979323846 * v));
}

uint64_t place_of(const CanonicalTensor& t, size_t i, size_t row) {
  uint64_t hash = std::hash<std::string>()(t.name);
  for (uint64_t part : {static_cast<uint64_t>(t.block + 1), static_cast<uint64_t>(i), static_cast<uint64_t>(row)}) hash = hash * 0x9e3779b97f4a7c15ull + part;
  return hash;
}

}  // namespace

ConvertReport upcycle(Checkpoint& dense, const std::filesystem::path& out, const UpcycleOptions& o, ConvertOptions convert_options) {
  const Config& c = dense.config();
  const std::string path = dense.path().string();
  if (o.experts < 1 || o.top_k < 1 || o.top_k > o.experts) throw UsageError("{} of {} experts cannot be chosen", o.top_k, o.experts);
  for (const BlockConfig& b : c.blocks)
    if (b.experts) throw Error("{}: is a mixture of experts already", path);
  if (c.ffn_bias) throw Error("{}: FFNs with biases have no place among experts", path);
  nlohmann::json config = dense.is_gguf() ? config_json_of(*dense.gguf()) : dense.hf()->config();
  const std::string_view family = c.family->name;
  if (family == "llama" || family == "mistral") config["model_type"] = "mixtral", config["num_local_experts"] = o.experts;
  else if (family == "qwen3") config["model_type"] = "qwen3_moe", config["num_experts"] = o.experts, config["moe_intermediate_size"] = config["intermediate_size"], config["norm_topk_prob"] = true;
  else throw Error("{}: models of family {} are not upcycled; llama, mistral and qwen3 are", path, family);
  config["num_experts_per_tok"] = o.top_k;
  config.erase("architectures");

  convert_options.target_config = config;
  convert_options.origin = [](const CanonicalTensor& t, size_t i) -> ConvertOptions::Origin {
    if (t.name == "ffn_gate_inp.weight") return {"", 0, 1};
    if (const size_t at = t.name.find("_exps."); at != std::string::npos) return {t.name.substr(0, at) + ".weight", 0, 1};
    return {t.name, i, t.count};
  };
  convert_options.make_row = [o](const CanonicalTensor& t, size_t i, size_t row, std::span<float> numbers) {
    const float scale = 1 / std::sqrt(static_cast<float>(numbers.size()));
    for (size_t k = 0; k < numbers.size(); k++) numbers[k] = scale * normal(o.seed, place_of(t, i, row), static_cast<uint32_t>(k));
  };
  if (o.noise > 0)
    convert_options.edit_row = [o](const CanonicalTensor& t, size_t i, size_t row, std::span<float> numbers) {
      if (t.name.find("_exps.") == std::string::npos) return false;
      double squares = 0;
      for (float v : numbers) squares += double(v) * v;
      const double scale = numbers.empty() ? 0 : o.noise * std::sqrt(squares / static_cast<double>(numbers.size()));
      for (size_t k = 0; k < numbers.size(); k++)
        numbers[k] += static_cast<float>(scale) * normal(o.seed, place_of(t, i, row), static_cast<uint32_t>(k));
      return true;
    };
  return convert(dense, out, convert_options);
}

}  // namespace moiety
