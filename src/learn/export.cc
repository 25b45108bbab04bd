#include "learn/export.h"

#include <algorithm>
#include <cstring>

#include "base/atomic_directory.h"
#include "base/error.h"
#include "base/file.h"
#include "formats/hf_directory.h"
#include "formats/safetensors.h"
#include "learn/facts.h"
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
  bool experts;
};
constexpr Shape candidates[] = {{"qwen3_moe", "per_head", true}, {"olmoe", "whole", true}, {"mixtral", "none", true}, {"qwen3", "per_head", false}, {"llama", "none", false}};

// "softmax | top_k(4) | renorm" as the parser writes it.
std::string spelled(const std::string& routing) { return routing.empty() ? "" : RoutingPolicy::parse(routing).text(); }

// The first k that a routing text names: all candidates choose by one top_k.
uint32_t top_k_of(const std::string& routing) {
  const size_t at = routing.find("top_k(");
  return at == std::string::npos ? 0 : static_cast<uint32_t>(std::strtoul(routing.c_str() + at + 6, nullptr, 10));
}

// config.json of a family that computes what `facts` say.
nlohmann::json family_config(const PartFacts& facts, Config& config) {
  if (!facts.beyond.empty()) throw Error("no family that Transformers knows has {}", facts.beyond);
  for (const Shape& family : candidates) {
    if (facts.qk_norm != family.qk_norm || facts.routing.empty() == family.experts || facts.config.contains("sliding_window")) continue;
    for (bool renorm : {true, false}) {
      nlohmann::json json = facts.config;
      json["model_type"] = family.model_type;
      if (family.experts) json["num_experts_per_tok"] = top_k_of(facts.routing), json["norm_topk_prob"] = renorm;
      config = read_hf_config(json, nlohmann::json::object(), "the trained model");
      const std::string routing = config.blocks[0].experts ? routing_text(config.blocks[0].experts->router) : "";
      if (spelled(routing) == spelled(facts.routing)) return json;
    }
  }
  throw Error("no family that Transformers knows routes by '{}' with qk_norm = {}{}; softmax | top_k(k), with renorm or without, and all positions seen, can be exported",
              facts.routing, facts.qk_norm, facts.config.contains("sliding_window") ? " and a window" : "");
}

// A matrix of the family's checkpoint: rows of a parameter.
struct Piece {
  std::string canonical;  // without "blk.N."
  size_t first, apart;    // numbers from the parameter's begin, and from one expert to the next
  size_t experts;         // 0: no stack
  std::vector<uint64_t> shape;
};

std::vector<Piece> pieces_of(const Parameter& p) {
  const size_t dot = p.name.starts_with("blk.") ? p.name.find('.', 4) + 1 : 0;
  const std::string name = p.name.substr(dot);
  if (p.shape.size() < 3) return {{name, 0, 0, 0, {p.shape.begin(), p.shape.end()}}};
  const bool stack = name.find("_exps.") != std::string::npos;
  const uint64_t experts = static_cast<uint64_t>(p.shape[0]), rows = static_cast<uint64_t>(p.shape[1]), cols = static_cast<uint64_t>(p.shape[2]);
  const auto piece = [&](std::string canonical, size_t first, uint64_t count) { return Piece{std::move(canonical), first, rows * cols, stack ? experts : 0, {count, cols}}; };
  const std::string suffix = stack ? "_exps.weight" : ".weight";
  if (!name.starts_with("ffn_gate_up")) return {piece(name, 0, rows)};
  return {piece("ffn_gate" + suffix, 0, rows / 2), piece("ffn_up" + suffix, rows / 2 * cols, rows / 2)};
}

std::string stored_name(const std::vector<TensorName>& names, const Parameter& p, const std::string& canonical, size_t expert) {
  const auto row = std::ranges::find_if(names, [&](const TensorName& n) { return n.canonical == canonical && !n.read_only; });
  if (row == names.end()) throw Error("{} has no place in the family that the model is exported as", p.name);
  std::string out = row->stored;
  const auto replace = [&](std::string_view what, const std::string& by) {
    if (const size_t at = out.find(what); at != std::string::npos) out.replace(at, what.size(), by);
  };
  if (p.name.starts_with("blk.")) replace("{l}", p.name.substr(4, p.name.find('.', 4) - 4));
  replace("{e}", std::to_string(expert));
  return out;
}

void write_text(const fs::path& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace

std::string export_obstacle(const LanguageModel& model) {
  try {
    Config config;
    family_config(model.facts(), config);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

void export_model(LanguageModel& model, Arena& arena, const fs::path& tokenizer_file, const DataTokenizer& tokenizer, const fs::path& directory) {
  Config config;
  nlohmann::json json = family_config(model.facts(), config);
  const int32_t end = tokenizer.separator.front();
  json["eos_token_id"] = end;
  json["bos_token_id"] = tokenizer.separator.back();
  const std::vector<TensorName> names = hf_names(config);
  std::vector<SafetensorsPlanned> planned;
  for (const Parameter& p : arena.parameters())
    for (const Piece& piece : pieces_of(p))
      for (size_t e = 0; e < std::max<size_t>(piece.experts, 1); e++) {
        const float* from = arena.values() + p.at + piece.first + e * piece.apart;
        planned.push_back({stored_name(names, p, piece.canonical, e), TensorType::f32, piece.shape, [from](std::span<std::byte> out) { std::memcpy(out.data(), from, out.size()); }});
      }
  AtomicDirectory out(directory, is_model_file);
  write_safetensors(out.path(), planned);
  write_text(out.path() / "config.json", exported_config(json, config, TensorType::f32).dump(2) + "\n");
  write_text(out.path() / "tokenizer.json", read_text_file(tokenizer_file));
  const std::string end_text = tokenizer.tokenizer->bytes_of(end);
  write_text(out.path() / "tokenizer_config.json",
             nlohmann::json{{"tokenizer_class", "PreTrainedTokenizerFast"}, {"eos_token", end_text}, {"model_max_length", model.context()}}.dump(2) + "\n");
  out.commit();
}

}  // namespace moiety
