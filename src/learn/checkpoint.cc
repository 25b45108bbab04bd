#include "learn/checkpoint.h"

#include <algorithm>
#include <cstring>

#include "base/atomic_directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "formats/safetensors.h"

namespace moiety {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view prefix = "checkpoint-";

// Every array of a checkpoint: its name, its shape, where its numbers lie.
struct Array {
  std::string name;
  std::vector<uint64_t> shape;
  float* data;
  size_t count;
};
std::vector<Array> arrays_of(Arena& arena, const Buffers& buffers) {
  std::vector<Array> out;
  for (const Parameter& p : arena.parameters()) {
    const std::vector<uint64_t> shape(p.shape.begin(), p.shape.end());
    out.push_back({p.name, shape, arena.values() + p.at, p.count});
    if (p.frozen()) continue;
    out.push_back({p.name + ".m", shape, arena.means() + p.at, p.count});
    out.push_back({p.name + ".v", shape, arena.squares() + p.at, p.count});
    if (arena.averages()) out.push_back({p.name + ".ema", shape, arena.averages() + p.at, p.count});
  }
  for (const auto& [name, numbers] : buffers) out.push_back({name, {numbers.size()}, numbers.data(), numbers.size()});
  return out;
}

// The step of "checkpoint-000200"; nothing for other names.
std::optional<uint64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with(prefix) || name.find_first_not_of("0123456789", prefix.size()) != std::string::npos || name.size() > prefix.size() + 18) return {};
  return std::stoull(name.substr(prefix.size()));
}

std::vector<fs::path> checkpoints(const fs::path& run) {  // oldest first
  std::vector<fs::path> out;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run, none))
    if (entry.is_directory() && step_of(entry.path())) out.push_back(entry.path());
  std::ranges::sort(out, {}, [](const fs::path& p) { return *step_of(p); });
  return out;
}

}  // namespace

void write_checkpoint(const fs::path& run, uint64_t step, Arena& arena, const Buffers& buffers, const nlohmann::json& state, std::span<const Companion> companions,
                      size_t keep) {
  AtomicDirectory directory(run / fmt::format("{}{:06}", prefix, step), [](const std::string&) { return true; });
  std::vector<SafetensorsPlanned> planned;
  for (const Array& a : arrays_of(arena, buffers))
    planned.push_back({a.name, TensorType::f32, a.shape, [a](std::span<std::byte> out) { std::memcpy(out.data(), a.data, a.count * sizeof(float)); }});
  write_safetensors(directory.path(), planned, UINT64_MAX);
  fs::rename(directory.path() / "model.safetensors", directory.path() / "state.safetensors");
  for (const Companion& c : companions) {
    AtomicFile copy(directory.path() / c.name);
    copy.write(c.text);
    copy.commit();
  }
  AtomicFile json(directory.path() / "state.json");
  json.write(state.dump(2) + "\n");
  json.commit();
  directory.commit();
  const std::vector<fs::path> all = checkpoints(run);
  for (size_t i = 0; i + std::max<size_t>(keep, 1) < all.size(); i++) fs::remove_all(all[i]);
}

std::optional<fs::path> newest_checkpoint(const fs::path& run) {
  const std::vector<fs::path> all = checkpoints(run);
  return all.empty() ? std::nullopt : std::optional(all.back());
}

nlohmann::json read_checkpoint(const fs::path& checkpoint, Arena& arena, const Buffers& buffers) {
  const std::string file = (checkpoint / "state.safetensors").string();
  const MappedFile mapped(file);
  const std::vector<Tensor> tensors = parse_safetensors(mapped.bytes(), file);
  std::vector<Array> arrays = arrays_of(arena, buffers);
  if (tensors.size() != arrays.size()) throw Error("{}: holds {} arrays, the model of this configuration has {}; resume with the configuration that the run began with", file, tensors.size(), arrays.size());
  for (const Array& a : arrays) {
    const auto t = std::ranges::find(tensors, a.name, &Tensor::name);
    if (t == tensors.end() || t->type != TensorType::f32 || t->shape != a.shape)
      throw Error("{}: {} is not there in the shape that this configuration says; resume with the configuration that the run began with", file, a.name);
    std::memcpy(a.data, t->bytes.data(), a.count * sizeof(float));
  }
  return parse_json(read_text_file(checkpoint / "state.json"), (checkpoint / "state.json").string());
}

void remove_leftovers(const fs::path& run) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(run, none)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.find(".tmp") != std::string::npos) fs::remove_all(entry.path(), none);
  }
}

}  // namespace moiety
