// A Hugging Face model directory: config.json and its companions, and the tensors of all its safetensors shards.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/tensor.h"

namespace moiety {

// The files of a model, as against what else people keep beside them.
bool is_model_file(const std::string& name);

class HfDirectory {
 public:
  // Needs config.json. Tensors come from model.safetensors, or from the shards that model.safetensors.index.json names, or from
  // model-0000i-of-0000n.safetensors. Doubled and missing tensors are errors here. GPTQ, AWQ, compressed-tensors and
  // bitsandbytes checkpoints are refused by name.
  static HfDirectory open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const nlohmann::json& config() const { return *config_; }                 // as in the file, nothing unnested
  const nlohmann::json& generation_config() const { return *generation_; }  // an empty object if there is none
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor* find(std::string_view name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<nlohmann::json> config_, generation_;
  std::vector<Tensor> tensors_;
  std::shared_ptr<void> mapping_;
};

// model.safetensors.index.json: the file that each tensor stands in.
std::unordered_map<std::string, std::string> parse_shard_index(std::string_view text, const std::string& origin);

}  // namespace moiety
