#include "formats/hf_directory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"

namespace moiety {
namespace {

using nlohmann::json;

json read_json(const std::filesystem::path& path) { return parse_json(read_text_file(path), path.string()); }

// The files that hold tensors, and which tensor the index expects in which.
std::vector<std::filesystem::path> tensor_files(const std::filesystem::path& path, std::unordered_map<std::string, std::string>& index) {
  const std::filesystem::path list = path / "model.safetensors.index.json";
  std::set<std::string> names;
  if (std::filesystem::exists(list)) {
    index = parse_shard_index(read_text_file(list), list.string());
    for (const auto& [tensor, shard] : index) names.insert(shard);
  } else if (std::filesystem::exists(path / "model.safetensors")) {
    names.insert("model.safetensors");
  } else {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".safetensors") && name.starts_with("model-")) names.insert(name);
    }
  }
  if (names.empty())
    throw Error("{}: has no model.safetensors and no shards; only safetensors checkpoints are read (not .bin or .pth)", path.string());
  std::vector<std::filesystem::path> out;
  for (const std::string& name : names) {
    if (!std::filesystem::exists(path / name)) throw Error("{}: shard {} is missing", path.string(), name);
    out.push_back(path / name);
  }
  return out;
}

void refuse_quantised(const json& config, const std::string& origin) {
  for (const json* level : {&config, config.contains("text_config") ? &config["text_config"] : nullptr}) {
    if (!level || !level->is_object() || !level->contains("quantization_config")) continue;
    const json& q = (*level)["quantization_config"];
    std::string method = q.is_object() && q.contains("quant_method") && q["quant_method"].is_string() ? q["quant_method"].get<std::string>() : "unknown";
    if (q.is_object() && (q.value("load_in_4bit", json(false)) == json(true) || q.value("load_in_8bit", json(false)) == json(true))) method = "bitsandbytes";
    if (method != "fp8" && method != "mxfp4")
      throw Error("{}: weights quantised by {} are not read; take the original checkpoint, or a GGUF file of it", origin, method);
  }
}

}  // namespace

bool is_model_file(const std::string& name) {
  for (const char* known : {"config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json", "tokenizer.json",
                            "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "chat_template.jinja"})
    if (name == known) return true;
  return name.starts_with("model-") && name.ends_with(".safetensors");
}

std::unordered_map<std::string, std::string> parse_shard_index(std::string_view text, const std::string& origin) {
  const json file = parse_json(text, origin);
  if (!file.is_object() || !file.contains("weight_map") || !file["weight_map"].is_object()) throw Error("{}: has no weight_map", origin);
  std::unordered_map<std::string, std::string> out;
  for (const auto& [tensor, shard] : file["weight_map"].items()) {
    if (!shard.is_string()) throw Error("{}: the shard of {} is not a name", origin, tensor);
    const std::string name = shard.get<std::string>();
    if (!name.ends_with(".safetensors") || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
      throw Error("{}: shard '{}' of {} is not the name of a safetensors file beside it", origin, name, tensor);
    out[tensor] = name;
  }
  return out;
}

HfDirectory HfDirectory::open(const std::filesystem::path& path) {
  HfDirectory out;
  out.path_ = path;
  if (!std::filesystem::is_directory(path)) throw Error("{}: is neither a GGUF file nor a directory", path.string());
  if (!std::filesystem::exists(path / "config.json")) throw Error("{}: has no config.json", path.string());
  out.config_ = std::make_shared<json>(read_json(path / "config.json"));
  if (!out.config_->is_object()) throw Error("{}: config.json is not a JSON object", path.string());
  refuse_quantised(*out.config_, (path / "config.json").string());
  out.generation_ = std::make_shared<json>(json::object());
  if (std::filesystem::exists(path / "generation_config.json")) {
    *out.generation_ = read_json(path / "generation_config.json");
    if (!out.generation_->is_object()) throw Error("{}: generation_config.json is not a JSON object", path.string());
  }
  std::unordered_map<std::string, std::string> index, where;
  auto maps = std::make_shared<std::vector<MappedFile>>();
  for (const std::filesystem::path& file : tensor_files(path, index)) {
    maps->emplace_back(file);
    for (Tensor& tensor : parse_safetensors(maps->back().bytes(), file.string())) {
      if (auto [it, is_new] = where.emplace(tensor.name, file.filename().string()); !is_new)
        throw Error("{}: tensor {} stands in {} too", file.string(), tensor.name, it->second);
      out.tensors_.push_back(std::move(tensor));
    }
  }
  for (const auto& [tensor, shard] : index)
    if (!where.contains(tensor)) throw Error("{}: tensor {} is missing in {}, where the index places it", path.string(), tensor, shard);
  out.mapping_ = maps;
  return out;
}

const Tensor* HfDirectory::find(std::string_view name) const {
  for (const Tensor& tensor : tensors_)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

}  // namespace moiety
