#include "base/error.h"
#include "base/file.h"
#include "formats/gguf.h"

namespace moiety {
namespace {

template <class T>
void put(AtomicFile& out, T value) {
  out.write(std::as_bytes(std::span(&value, 1)));
}

void put_text(AtomicFile& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.write(text);
}

template <class Stored, class Kept>
void put_as(AtomicFile& out, const std::vector<Kept>& values) {
  for (const Kept& value : values) put<Stored>(out, static_cast<Stored>(value));
}

void put_array(AtomicFile& out, const MetaArray& array) {
  put<uint32_t>(out, array.element);
  std::visit(
      [&](const auto& values) {
        put<uint64_t>(out, values.size());
        using V = typename std::decay_t<decltype(values)>::value_type;
        if constexpr (std::is_same_v<V, std::string>) {
          for (const std::string& text : values) put_text(out, text);
        } else {
          switch (array.element) {
            case 0: return put_as<uint8_t>(out, values);
            case 1: return put_as<int8_t>(out, values);
            case 2: return put_as<uint16_t>(out, values);
            case 3: return put_as<int16_t>(out, values);
            case 4: return put_as<uint32_t>(out, values);
            case 5: return put_as<int32_t>(out, values);
            case 6: return put_as<float>(out, values);
            case 7: return put_as<uint8_t>(out, values);
            case 10: return put_as<uint64_t>(out, values);
            case 11: return put_as<int64_t>(out, values);
            case 12: return put_as<double>(out, values);
          }
        }
      },
      array.values);
}

void put_value(AtomicFile& out, const MetaValue& value) {
  put<uint32_t>(out, static_cast<uint32_t>(value.index()));
  std::visit(
      [&](const auto& v) {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, std::string>) put_text(out, v);
        else if constexpr (std::is_same_v<V, MetaArray>) put_array(out, v);
        else put(out, v);
      },
      value);
}

uint64_t planned_bytes(const GgufPlannedTensor& tensor) {
  uint64_t count = 1;
  for (uint64_t extent : tensor.shape) count *= extent;
  return bytes_of(tensor.type, count);
}

}  // namespace

void write_gguf(const std::filesystem::path& path, const Metadata& metadata, std::span<const GgufPlannedTensor> tensors) {
  const uint64_t alignment = static_cast<uint64_t>(metadata.integer("general.alignment").value_or(32));
  auto aligned = [&](uint64_t offset) { return (offset + alignment - 1) / alignment * alignment; };
  AtomicFile out(path);
  out.write("GGUF");
  put<uint32_t>(out, 3);
  put<uint64_t>(out, tensors.size());
  put<uint64_t>(out, metadata.entries().size());
  for (const auto& [key, value] : metadata.entries()) {
    put_text(out, key);
    put_value(out, value);
  }
  uint64_t offset = 0;
  for (const GgufPlannedTensor& tensor : tensors) {
    put_text(out, tensor.name);
    put<uint32_t>(out, static_cast<uint32_t>(tensor.shape.size()));
    for (size_t i = tensor.shape.size(); i-- > 0;) put<uint64_t>(out, tensor.shape[i]);
    put<uint32_t>(out, static_cast<uint32_t>(tensor.type));
    put<uint64_t>(out, offset);
    offset = aligned(offset + planned_bytes(tensor));
  }
  std::vector<std::byte> bytes;
  for (const GgufPlannedTensor& tensor : tensors) {
    out.pad_to(aligned(out.offset()));
    bytes.assign(planned_bytes(tensor), std::byte{0});
    tensor.fill(bytes);
    out.write(bytes);
  }
  out.pad_to(aligned(out.offset()));
  out.commit();
}

}  // namespace moiety
