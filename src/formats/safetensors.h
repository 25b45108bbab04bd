// safetensors: a JSON header, then the tensors' bytes.
#pragma once
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "formats/tensor.h"

namespace moiety {

// The tensors of one file in memory, as views of it. Checks that each lies inside the file, fills its shape exactly, and shares no
// byte with another. `origin` names the file in messages.
std::vector<Tensor> parse_safetensors(std::span<const std::byte> file, const std::string& origin);

struct SafetensorsPlanned {
  std::string name;
  TensorType type;  // f32, f16, bf16, f64, integers, f8
  std::vector<uint64_t> shape;
  std::function<void(std::span<std::byte>)> fill;
};

// Writes `tensors` as model.safetensors in `directory`, or in shards of about shard_bytes with model.safetensors.index.json.
void write_safetensors(const std::filesystem::path& directory, std::span<const SafetensorsPlanned> tensors,
                       uint64_t shard_bytes = uint64_t{5} << 30);

}  // namespace moiety
