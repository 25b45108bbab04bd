#include "learn/export.h"

#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/atomic_directory.h"
#include "base/error.h"
#include "base/file.h"
#include "formats/hf_directory.h"
#include "formats/safetensors.h"
#include "learn/facts.h"
#include "learn/places.h"
#include "model/config_export.h"
#include "model/config_hf.h"
#include "model/convert_plan.h"
#include "model/rope.h"
#include "model/stored.h"
#include "routing/policy.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

// Families that the trainer's parts can be, by what distinguishes them.
enum class Shared : uint8_t { no, plain, gated };
struct Shape {
  const char* model_type;
  bool latent;
  const char* qk_norm;
  bool bias, experts;
  Shared shared = Shared::no;
  bool fine = false;  // DeepSeek's line: its keys, and dense blocks first
};
constexpr Shape candidates[] = {{"qwen3_moe", false, "per_head", false, true},
                                {"olmoe", false, "whole", false, true},
                                {"mixtral", false, "none", false, true},
                                {"qwen3", false, "per_head", false, false},
                                {"llama", false, "none", false, false},
                                {"qwen2", false, "none", true, false},
                                {"qwen2_moe", false, "none", true, true, Shared::gated},
                                {"deepseek_v3", true, "none", false, true, Shared::plain, true},
                                {"deepseek_v2", true, "none", false, true, Shared::plain, true},
                                {"dots1", false, "per_head", false, true, Shared::plain, true}};

bool fits(const Shape& family, const PartFacts& facts) {
  const Shared shared = facts.shared_width == 0 ? Shared::no : facts.shared_gate ? Shared::gated : Shared::plain;
  const bool experts = !facts.routing.empty();
  return facts.latent == family.latent && facts.qk_norm == family.qk_norm && facts.bias == family.bias && experts == family.experts &&
         (shared == family.shared || (family.fine && shared == Shared::no)) && (facts.dense_first == 0 || family.fine);
}

// The number at a place among the arguments of a stage in a routing text, which begin with numbers.
std::optional<double> argument(const std::string& routing, const std::string& stage, size_t place = 0) {
  size_t at = routing.find(stage + "(");
  for (size_t i = 0; at != std::string::npos && i < place; i++) at = routing.find(',', at + 1);
  if (at == std::string::npos) return {};
  return std::strtod(routing.c_str() + at + (place ? 1 : stage.size() + 1), nullptr);
}

// A config.json of the family with the facts' sizes and, as far as it has words for it, their routing.
nlohmann::json config_of(const Shape& family, const PartFacts& facts) {
  nlohmann::json json = facts.config;
  json["model_type"] = family.model_type;
  if (!family.experts) return json;
  json["num_experts_per_tok"] = first_top_k(facts.routing);
  const int64_t width = json["moe_intermediate_size"];
  if (!json.contains("intermediate_size")) json["intermediate_size"] = width;
  if (family.shared == Shared::gated) json["shared_expert_intermediate_size"] = facts.shared_width, json["qkv_bias"] = facts.bias;
  if (!family.fine) return json;
  json["n_routed_experts"] = json["num_experts"];
  json.erase("num_experts");
  json["n_shared_experts"] = facts.shared_width / width;
  json["first_k_dense_replace"] = facts.dense_first;
  const std::optional<double> groups = argument(facts.routing, "groups");
  json["n_group"] = static_cast<uint64_t>(groups.value_or(1)), json["topk_group"] = static_cast<uint64_t>(argument(facts.routing, "groups", 1).value_or(1));
  json["topk_method"] = facts.latent && facts.routing.starts_with("softmax") ? groups ? "group_limited_greedy" : "greedy" : "noaux_tc";
  json["scoring_func"] = facts.routing.starts_with("softmax") ? "softmax" : "sigmoid";
  if (!facts.latent) json["sliding_window"] = nullptr;  // dots1's last blocks have one else
  json["routed_scaling_factor"] = argument(facts.routing, "scale").value_or(1);
  return json;
}

// "softmax | top_k(4) | renorm" as the parser writes it.
std::string spelled(const std::string& routing) { return routing.empty() ? "" : RoutingPolicy::parse(routing).text(); }

// Whether a site of the family routes by a text. The smallest number that some families add to a sum of weights before they divide by it changes no
// float32 sum above 1e-13, and need not be written.
bool routes_by(const SiteConfig& site, const std::string& text) {
  RouterConfig router = site.router;
  const std::string whole = spelled(routing_text(router));
  if (router.renorm_epsilon <= 1e-20) router.renorm_epsilon = 0;
  return spelled(text) == whole || spelled(text) == spelled(routing_text(router));
}

// A config.json, and what the engine makes of it.
struct Described {
  nlohmann::json json;
  Config config;
  std::string beyond;  // why it is Moiety's own family's; empty: it is of another
};

// Of a family of Transformers that computes what `facts` say, or else of Moiety's own.
Described described(const PartFacts& facts) {
  const auto own = [&](std::string beyond) {
    nlohmann::json json = facts.own;
    json["model_type"] = "moiety";
    return Described{json, read_hf_config(json, nlohmann::json::object(), "the trained model"), std::move(beyond)};
  };
  if (!facts.beyond.empty()) return own("no family that it knows has " + facts.beyond);
  bool shaped_so = false;
  for (const Shape& family : candidates) {
    if (!fits(family, facts)) continue;
    nlohmann::json json = config_of(family, facts);
    if (family.fine && facts.shared_width % json["moe_intermediate_size"].get<int64_t>() != 0) continue;
    shaped_so = true;
    if (family.experts && first_top_k(facts.routing) == 0) continue;  // all choose by one
    for (bool renorm : {true, false}) {
      if (family.experts) json["norm_topk_prob"] = renorm;
      try {
        const Config config = read_hf_config(json, nlohmann::json::object(), "the trained model");
        if (family.experts && !routes_by(*config.blocks.back().experts, facts.routing)) continue;
        if (family.experts) json["norm_topk_prob"] = config.blocks.back().experts->router.renorm;  // also where the family does not ask for it
        return {json, config, ""};
      } catch (const Error&) {  // a routing that this family refuses may be another's
      }
    }
  }
  if (shaped_so) return own(fmt::format("no family that it knows and that is shaped so routes by '{}'", facts.routing));
  std::string shape = facts.latent ? "latent attention" : "qk_norm = " + facts.qk_norm;
  if (facts.bias) shape += ", biases";
  if (facts.routing.empty()) shape += ", no experts";
  if (facts.dense_first) shape += fmt::format(", {} dense blocks first", facts.dense_first);
  if (facts.shared_width) shape += fmt::format(", experts that every row uses ({} wide{})", facts.shared_width, facts.shared_gate ? ", with a gate" : "");
  return own("no family that it knows has all of this: " + shape);
}

// The numbers of a tensor of the family's checkpoint.
void fill(const Target& target, const Config& config, const Places& places, std::span<std::byte> out) {
  const bool interleaved = config.ropes[0].interleaved;  // the trainer rotates pairs (i, i + half)
  for (const Piece& piece : target.pieces) {
    const CanonicalTensor& t = piece.tensor;
    const Place& place = places.at(canonical_name(t.name, t.block));
    std::vector<float> numbers(t.cols);
    for (size_t i = target.begin(); i < target.end(t); i++) {
      const StoredMatrix m = stored_view(piece.name, config, TensorType::f32, out.data(), target.one_each ? 0 : i, t.rows, t.cols);
      for (size_t r = 0; r < t.rows; r++) {
        place.read(i, interleaved ? other_order_row(config, t.name, r, true) : r, numbers);
        std::byte* row = out.data() + (m.data - out.data()) + m.row_offset(r);
        for (size_t c = 0; c < t.cols; c++) std::memcpy(row + c * m.column_bytes, &numbers[c], sizeof(float));
      }
    }
  }
}

void write_text(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

std::string beyond_transformers(const LanguageModel& model) { return described(model.facts()).beyond; }

void export_tokenizer(const fs::path& file, const DataTokenizer& tokenizer, int64_t context, const fs::path& directory) {
  write_text(directory / "tokenizer.json", read_text_file(file));
  const std::string end = tokenizer.tokenizer->bytes_of(tokenizer.separator.front());
  write_text(directory / "tokenizer_config.json",
             nlohmann::json{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"eos_token", end}, {"model_max_length", context}}.dump(2) + "\n");
}

void export_model(LanguageModel& model, Arena& arena, const fs::path& tokenizer_file, const DataTokenizer& tokenizer, const fs::path& directory) {
  auto [json, config, beyond] = described(model.facts());
  json["eos_token_id"] = tokenizer.separator.front();
  json["bos_token_id"] = tokenizer.separator.back();
  const Places places = places_of(arena, model.buffers());
  const std::vector<Target> targets = plan_targets(config, true, "the trained model");
  std::vector<SafetensorsPlanned> planned;
  for (const Target& target : targets)
    planned.push_back({target.name, TensorType::f32, target.shape, [&](std::span<std::byte> bytes) { fill(target, config, places, bytes); }});
  AtomicDirectory out(directory, is_model_file);
  write_safetensors(out.path(), planned);
  write_text(out.path() / "config.json", exported_config(json, config, TensorType::f32).dump(2) + "\n");
  export_tokenizer(tokenizer_file, tokenizer, model.context(), out.path());
  out.commit();
}

}  // namespace moiety
