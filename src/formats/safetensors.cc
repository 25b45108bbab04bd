#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"

namespace moiety {
namespace {

using nlohmann::json;

struct Name {
  const char* text;
  TensorType type;
};
constexpr Name type_names[] = {
    {"F32", TensorType::f32}, {"F16", TensorType::f16},         {"BF16", TensorType::bf16},       {"F64", TensorType::f64},
    {"I8", TensorType::i8},   {"I16", TensorType::i16},         {"I32", TensorType::i32},         {"I64", TensorType::i64},
    {"U8", TensorType::u8},   {"F8_E4M3", TensorType::f8_e4m3}, {"F8_E5M2", TensorType::f8_e5m2}, {"BOOL", TensorType::boolean},
};

Tensor read_tensor(const std::string& name, const json& entry, std::span<const std::byte> data, const std::string& origin) {
  auto fail = [&](const std::string& reason) -> Error { return Error("{}: tensor {}: {}", origin, name, reason); };
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() || !entry.contains("shape") ||
      !entry["shape"].is_array() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
      entry["data_offsets"].size() != 2)
    throw fail("its entry in the header lacks dtype, shape or data_offsets");
  Tensor out;
  out.name = name;
  const std::string type = entry["dtype"].get<std::string>();
  const auto* known = std::ranges::find_if(type_names, [&](const Name& n) { return type == n.text; });
  if (known == std::end(type_names)) throw fail(fmt::format("dtype {} is not known", type));
  out.type = known->type;
  uint64_t count = 1;
  for (const json& extent : entry["shape"]) {
    if (!extent.is_number_unsigned()) throw fail("its shape is not a list of counts");
    const uint64_t n = extent.get<uint64_t>();
    if (n != 0 && count > (uint64_t{1} << 48) / n) throw fail("its shape is absurd");
    count *= n;
    out.shape.push_back(n);
  }
  for (const json& offset : entry["data_offsets"])
    if (!offset.is_number_unsigned()) throw fail("its offsets are not numbers");
  const uint64_t begin = entry["data_offsets"][0].get<uint64_t>(), end = entry["data_offsets"][1].get<uint64_t>();
  if (begin > end || end > data.size()) throw fail(fmt::format("it ends {} bytes past the end of the file; the file is truncated", end > data.size() ? end - data.size() : 0));
  if (end - begin != bytes_of(out.type, count))
    throw fail(fmt::format("{} bytes for a shape that takes {}", end - begin, bytes_of(out.type, count)));
  out.bytes = data.subspan(begin, end - begin);
  return out;
}

}  // namespace

std::vector<Tensor> parse_safetensors(std::span<const std::byte> file, const std::string& origin) {
  if (file.size() < 8) throw Error("{}: is not a safetensors file: {} bytes", origin, file.size());
  uint64_t length;
  std::memcpy(&length, file.data(), 8);
  if (length > file.size() - 8 || length > uint64_t{1} << 30)
    throw Error("{}: announces a header of {} bytes, more than the file holds; it is truncated or not a safetensors file", origin, length);
  const char* text = reinterpret_cast<const char*>(file.data() + 8);
  std::string doubled;
  std::unordered_set<std::string> names;
  // The parser would keep the last of two equal keys; two tensors of one name are an error.
  json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > 8) throw Error("{}: the header nests too deeply", origin);
    if (depth == 1 && event == json::parse_event_t::key && !names.insert(parsed.get<std::string>()).second) doubled = parsed.get<std::string>();
    return true;
  };
  json header;
  try {
    header = json::parse(text, text + length, watch);
  } catch (const json::exception&) {
    throw Error("{}: the header is not JSON; the file is damaged", origin);
  }
  if (!doubled.empty()) throw Error("{}: tensor {} stands there twice", origin, doubled);
  if (!header.is_object()) throw Error("{}: the header is not a JSON object", origin);
  const std::span<const std::byte> data = file.subspan(8 + length);
  std::vector<Tensor> out;
  for (const auto& [name, entry] : header.items())
    if (name != "__metadata__") out.push_back(read_tensor(name, entry, data, origin));
  check_apart(out, origin);
  return out;
}

void write_safetensors(const std::filesystem::path& directory, std::span<const SafetensorsPlanned> tensors, uint64_t shard_bytes) {
  auto size_of = [](const SafetensorsPlanned& t) {
    uint64_t count = 1;
    for (uint64_t extent : t.shape) count *= extent;
    return bytes_of(t.type, count);
  };
  std::vector<std::vector<const SafetensorsPlanned*>> shards(1);
  uint64_t filled = 0, total = 0;
  for (const SafetensorsPlanned& t : tensors) {
    if (filled > 0 && filled + size_of(t) > shard_bytes) shards.emplace_back(), filled = 0;
    shards.back().push_back(&t);
    filled += size_of(t);
    total += size_of(t);
  }
  json map = json::object();
  for (size_t s = 0; s < shards.size(); s++) {
    const std::string name = shards.size() == 1 ? "model.safetensors" : fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    nlohmann::ordered_json header;
    header["__metadata__"] = {{"format", "pt"}};
    uint64_t offset = 0;
    for (const SafetensorsPlanned* t : shards[s]) {
      const auto* known = std::ranges::find(type_names, t->type, &Name::type);
      if (known == std::end(type_names))
        throw Error("tensor {}: type {} has no place in safetensors; convert with --type bf16", t->name, type_info(t->type).name);
      header[t->name] = {{"dtype", known->text}, {"shape", t->shape}, {"data_offsets", {offset, offset + size_of(*t)}}};
      offset += size_of(*t);
      map[t->name] = name;
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    AtomicFile out(directory / name);
    const uint64_t length = text.size();
    out.write(std::as_bytes(std::span(&length, 1)));
    out.write(text);
    std::vector<std::byte> bytes;
    for (const SafetensorsPlanned* t : shards[s]) {
      bytes.assign(size_of(*t), std::byte{0});
      t->fill(bytes);
      out.write(bytes);
    }
    out.commit();
  }
  if (shards.size() > 1) {
    AtomicFile out(directory / "model.safetensors.index.json");
    out.write(json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) + "\n");
    out.commit();
  }
}

}  // namespace moiety
