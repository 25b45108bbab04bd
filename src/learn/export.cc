#include "learn/export.h"

#include <algorithm>
#include <cstring>

#include "base/atomic_directory.h"
#include "base/error.h"
#include "base/file.h"
#include "formats/hf_directory.h"
#include "formats/safetensors.h"
#include "learn/facts.h"
#include "learn/pieces.h"
#include "model/config_export.h"
#include "model/config_hf.h"
#include "model/names.h"
#include "routing/policy.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;

// Families whose blocks are causal attention and SwiGLU, by what distinguishes them.
struct Shape {
  const char* model_type;
  const char* qk_norm;
  bool experts, bias = false;
};
constexpr Shape candidates[] = {{"qwen3_moe", "per_head", true}, {"olmoe", "whole", true}, {"mixtral", "none", true},
                                {"qwen3", "per_head", false},    {"llama", "none", false},  {"qwen2", "none", false, true}};

// "softmax | top_k(4) | renorm" as the parser writes it.
std::string spelled(const std::string& routing) { return routing.empty() ? "" : RoutingPolicy::parse(routing).text(); }

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
  for (const Shape& family : candidates) {
    const uint32_t k = first_top_k(facts.routing);  // all candidates choose by one
    if (facts.qk_norm != family.qk_norm || facts.bias != family.bias || facts.routing.empty() == family.experts || (family.experts && k == 0)) continue;
    for (bool renorm : {true, false}) {
      nlohmann::json json = facts.config;
      json["model_type"] = family.model_type;
      if (family.experts) json["num_experts_per_tok"] = k, json["norm_topk_prob"] = renorm;
      const Config config = read_hf_config(json, nlohmann::json::object(), "the trained model");
      const std::string routing = config.blocks[0].experts ? routing_text(config.blocks[0].experts->router) : "";
      if (spelled(routing) == spelled(facts.routing)) return {json, config, ""};
    }
  }
  return own(fmt::format("no family that it knows routes by '{}' with qk_norm = {}{}", facts.routing, facts.qk_norm, facts.bias ? " and biases" : ""));
}

// Blocks behind the model's own are a head's, which serves training alone.
bool is_exported(const std::string& name, const Config& config) { return !name.starts_with("blk.") || std::strtoull(name.c_str() + 4, nullptr, 10) < config.blocks.size(); }

// The tensors of the family's checkpoint, by its names.
class Plan {
 public:
  explicit Plan(const Config& config) : names_(hf_names(config)) {}

  void add(const std::string& owner, const ParameterPiece& piece, const float* numbers) {
    const TensorName& row = row_of(owner, piece.canonical);
    if (piece.experts && row.stored.find("{e}") != std::string::npos) {
      for (size_t e = 0; e < piece.experts; e++) add(stored_name(row, owner, e), piece.shape, {numbers + piece.first + e * piece.apart});
      return;
    }
    std::vector<uint64_t> shape = piece.shape;
    std::vector<const float*> from;
    for (size_t e = 0; e < std::max<size_t>(piece.experts, 1); e++) from.push_back(numbers + piece.first + e * piece.apart);
    if (piece.experts) shape.insert(shape.begin(), piece.experts);
    add(stored_name(row, owner, 0), shape, from);
  }

  std::span<const SafetensorsPlanned> tensors() const { return tensors_; }

 private:
  const TensorName& row_of(const std::string& owner, const std::string& canonical) const {
    const auto row = std::ranges::find_if(names_, [&](const TensorName& n) { return n.canonical == canonical && !n.read_only; });
    if (row == names_.end()) throw Error("{} has no place in the family that the model is exported as", owner);
    return *row;
  }

  static std::string stored_name(const TensorName& row, const std::string& owner, size_t expert) {
    std::string out = row.stored;
    const auto replace = [&](std::string_view what, const std::string& by) {
      if (const size_t at = out.find(what); at != std::string::npos) out.replace(at, what.size(), by);
    };
    const std::string block = owner.starts_with("blk.") ? owner.substr(4, owner.find('.', 4) - 4) : "";
    replace("{l}", block);
    replace("{b}", block);
    replace("{e}", std::to_string(expert));
    return out;
  }

  // Matrices one after another.
  void add(std::string name, std::vector<uint64_t> shape, std::vector<const float*> from) {
    tensors_.push_back({std::move(name), TensorType::f32, std::move(shape), [from](std::span<std::byte> out) {
                          const size_t bytes = out.size() / from.size();
                          for (size_t i = 0; i < from.size(); i++) std::memcpy(out.data() + i * bytes, from[i], bytes);
                        }});
  }

  std::vector<TensorName> names_;
  std::vector<SafetensorsPlanned> tensors_;
};

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
  Plan plan(config);
  for (const Parameter& p : arena.parameters())
    for (const ParameterPiece& piece : is_exported(p.name, config) ? pieces_of(p) : std::vector<ParameterPiece>()) plan.add(p.name, piece, arena.values() + p.at);
  for (const auto& [name, numbers] : model.buffers()) {
    if (!is_exported(name, config)) continue;
    const std::string canonical = name.substr(name.find('.', 4) + 1);
    const auto& site = config.blocks[std::strtoul(name.c_str() + 4, nullptr, 10)].experts;
    if (canonical == "exp_probs_b.bias" ? !site->router.choice_bias : !site->route_table) continue;
    plan.add(name, {canonical, 0, 0, 0, {numbers.size()}}, numbers.data());
  }
  AtomicDirectory out(directory, is_model_file);
  write_safetensors(out.path(), plan.tensors());
  write_text(out.path() / "config.json", exported_config(json, config, TensorType::f32).dump(2) + "\n");
  export_tokenizer(tokenizer_file, tokenizer, model.context(), out.path());
  out.commit();
}

}  // namespace moiety
