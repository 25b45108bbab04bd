#include "grow/upcycle.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/random.h"
#include "model/config_gguf.h"
#include "model/family.h"

namespace moiety {
namespace {

// The same on every machine: draws depend on the seed and on this alone.
uint64_t place_of(const CanonicalTensor& t, size_t i, size_t row) {
  const uint64_t parts[] = {static_cast<uint64_t>(t.block + 1), i, row};
  return XXH3_64bits_withSeed(parts, sizeof(parts), XXH3_64bits(t.name.data(), t.name.size()));
}

// A dense family and the mixture that computes the same but for its FFN, in Transformers and in llama.cpp.
struct Pair {
  std::string_view dense, mixture;
  const char* experts_key;
};
constexpr Pair pairs[] = {
    {"llama", "mixtral", "num_local_experts"}, {"mistral", "mixtral", "num_local_experts"}, {"qwen3", "qwen3_moe", "num_experts"},
    {"qwen2", "qwen2_moe", "num_experts"},     {"olmo2", "flex_olmo", "num_experts"},
};

// qwen2_moe always has a shared expert: one of this width, all zeros, adds nothing. Its gate is random, as the router: llama.cpp
// computes the gate's sigmoid as silu(x) / x, which 0 has none of.
constexpr uint32_t idle_width = 32;

nlohmann::json mixture_config(const Config& c, nlohmann::json config, const UpcycleOptions& o, const std::string& path, bool to_hf) {
  const auto* pair = std::ranges::find(pairs, c.family->name, &Pair::dense);
  if (pair == std::end(pairs))
    throw Error("{}: no mixture family computes what {} does with experts in place of its FFN; llama, mistral, qwen2, qwen3 and olmo2 have one", path,
                c.family->name);
  const bool qwen2 = pair->dense == "qwen2";
  if (qwen2 && !to_hf && o.top_k < o.experts)
    throw Error("{}: GGUF's qwen2moe does not renormalise the weights of the chosen experts, so the copies would not add up to the dense model; "
                "write a Hugging Face directory, or choose all experts (--top-k {})", path, o.experts);
  if (pair->mixture == "mixtral" && (c.qkv_bias || c.attention_output_bias))
    throw Error("{}: biases of the attention have no place in a mixtral", path);
  config["model_type"] = pair->mixture;
  config[pair->experts_key] = o.experts;
  config["num_experts_per_tok"] = o.top_k;
  config["norm_topk_prob"] = true;
  if (pair->mixture.ends_with("_moe")) config["moe_intermediate_size"] = config["intermediate_size"];
  if (qwen2) config["shared_expert_intermediate_size"] = idle_width;
  config.erase("architectures");
  return config;
}

}  // namespace

ConvertReport upcycle(Checkpoint& dense, const std::filesystem::path& out, const UpcycleOptions& o, ConvertOptions convert_options) {
  const Config& c = dense.config();
  const std::string path = dense.path().string();
  if (o.experts < 1 || o.top_k < 1 || o.top_k > o.experts) throw UsageError("{} of {} experts cannot be chosen", o.top_k, o.experts);
  for (const BlockConfig& b : c.blocks)
    if (b.experts) throw Error("{}: is a mixture of experts already", path);
  if (c.ffn_bias) throw Error("{}: FFNs with biases have no place among experts", path);
  const nlohmann::json config = dense.is_gguf() ? config_json_of(*dense.gguf()) : dense.hf()->config();
  convert_options.target_config = mixture_config(c, config, o, path, convert_options.to_hf);
  convert_options.origin = [](const CanonicalTensor& t, size_t i) -> ConvertOptions::Origin {
    if (t.name == "ffn_gate_inp.weight" || t.name.find("_shexp.") != std::string::npos) return {"", 0, 1};
    if (const size_t at = t.name.find("_exps."); at != std::string::npos) return {t.name.substr(0, at) + ".weight", 0, 1};
    return {t.name, i, t.count};
  };
  convert_options.make_row = [o](const CanonicalTensor& t, size_t i, size_t row, std::span<float> numbers) {
    if (!t.name.starts_with("ffn_gate_inp")) return;  // the idle shared expert stays zero
    const float scale = 1 / std::sqrt(static_cast<float>(numbers.size()));
    for (size_t k = 0; k < numbers.size(); k++) numbers[k] = scale * standard_normal(o.seed, place_of(t, i, row), RandomStream::initial_weights, static_cast<uint32_t>(k));
  };
  if (o.noise > 0)
    convert_options.edit_row = [o](const CanonicalTensor& t, size_t i, size_t row, std::span<float> numbers) {
      if (t.name.find("_exps.") == std::string::npos) return false;
      double squares = 0;
      for (float v : numbers) squares += double(v) * v;
      const double scale = numbers.empty() ? 0 : o.noise * std::sqrt(squares / static_cast<double>(numbers.size()));
      for (size_t k = 0; k < numbers.size(); k++)
        numbers[k] += static_cast<float>(scale) * standard_normal(o.seed, place_of(t, i, row), RandomStream::initial_weights, static_cast<uint32_t>(k));
      return true;
    };
  return convert(dense, out, convert_options);
}

}  // namespace moiety
