#include "formats/gguf_parse.h"

#include <cstring>
#include <unordered_set>

#include "base/error.h"
#include "formats/tensor.h"

namespace moiety {
namespace {

//   magic "GGUF", version u32, tensors u64, keys u64
//   keys:    name, type u32, value             a text is its length u64 and its bytes
//   tensors: name, axes u32, extents u64 each (innermost first), type u32, offset u64
//   padding to the alignment, then the tensors' bytes; offsets count from there
class Reader {
 public:
  Reader(std::span<const std::byte> file, const std::string& origin) : file_(file), origin_(origin) {}

  template <class T>
  T scalar(const char* what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, file_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::string text(const char* what) {
    const uint64_t length = scalar<uint64_t>(what);
    need(length, what);
    std::string out(reinterpret_cast<const char*>(file_.data() + at_), length);
    at_ += length;
    return out;
  }

  // A count of things that take at least `least` bytes each.
  void check_count(uint64_t count, uint64_t least, const char* what) {
    if (count > (file_.size() - at_) / least)
      throw Error("{}: announces {} {}, more than the file can hold; it is truncated or damaged", origin_, count, what);
  }

  size_t at() const { return at_; }

 private:
  void need(uint64_t bytes, const char* what) {
    if (bytes > file_.size() - at_)
      throw Error("{}: ends at byte {} inside {}; the file is truncated or damaged", origin_, file_.size(), what);
  }

  std::span<const std::byte> file_;
  const std::string& origin_;
  size_t at_ = 0;
};

enum Type : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };
constexpr uint64_t type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};

bool read_boolean(Reader& in, const std::string& key, const std::string& origin) {
  const uint8_t value = in.scalar<uint8_t>("a boolean");
  if (value > 1) throw Error("{}: key {}: a boolean of value {}", origin, key, value);
  return value != 0;
}

template <class Stored, class Kept>
std::vector<Kept> read_list(Reader& in, uint64_t count) {
  std::vector<Kept> out;
  out.reserve(count);
  for (uint64_t i = 0; i < count; i++) out.push_back(static_cast<Kept>(in.scalar<Stored>("a list")));
  return out;
}

MetaArray read_array(Reader& in, const std::string& key, const std::string& origin) {
  MetaArray out;
  out.element = in.scalar<uint32_t>("the type of a list");
  const uint64_t count = in.scalar<uint64_t>("the length of a list");
  if (out.element > f64 || out.element == array)
    throw Error("{}: key {}: a list of elements of type {}; lists in lists and unknown types are not read", origin, key, out.element);
  in.check_count(count, type_bytes[out.element], "list entries");
  switch (out.element) {
    case u8: out.values = read_list<uint8_t, uint64_t>(in, count); break;
    case i8: out.values = read_list<int8_t, int64_t>(in, count); break;
    case u16: out.values = read_list<uint16_t, uint64_t>(in, count); break;
    case i16: out.values = read_list<int16_t, int64_t>(in, count); break;
    case u32: out.values = read_list<uint32_t, uint64_t>(in, count); break;
    case i32: out.values = read_list<int32_t, int64_t>(in, count); break;
    case f32: out.values = read_list<float, double>(in, count); break;
    case u64: out.values = read_list<uint64_t, uint64_t>(in, count); break;
    case i64: out.values = read_list<int64_t, int64_t>(in, count); break;
    case f64: out.values = read_list<double, double>(in, count); break;
    case boolean: {
      std::vector<bool> flags;
      for (uint64_t i = 0; i < count; i++) flags.push_back(read_boolean(in, key, origin));
      out.values = std::move(flags);
      break;
    }
    case text: {
      std::vector<std::string> texts;
      texts.reserve(count);
      for (uint64_t i = 0; i < count; i++) texts.push_back(in.text("a list of texts"));
      out.values = std::move(texts);
      break;
    }
  }
  return out;
}

MetaValue read_value(Reader& in, const std::string& key, const std::string& origin) {
  const uint32_t type = in.scalar<uint32_t>("the type of a value");
  switch (type) {
    case u8: return in.scalar<uint8_t>("a value");
    case i8: return in.scalar<int8_t>("a value");
    case u16: return in.scalar<uint16_t>("a value");
    case i16: return in.scalar<int16_t>("a value");
    case u32: return in.scalar<uint32_t>("a value");
    case i32: return in.scalar<int32_t>("a value");
    case f32: return in.scalar<float>("a value");
    case boolean: return read_boolean(in, key, origin);
    case text: return in.text("a text");
    case array: return read_array(in, key, origin);
    case u64: return in.scalar<uint64_t>("a value");
    case i64: return in.scalar<int64_t>("a value");
    case f64: return in.scalar<double>("a value");
  }
  throw Error("{}: key {} has a value of unknown type {}", origin, key, type);
}

struct Placed {
  Tensor tensor;
  uint64_t offset, size;
};

Placed read_tensor(Reader& in, const std::string& origin) {
  Placed out;
  out.tensor.name = in.text("a tensor's name");
  const std::string& name = out.tensor.name;
  const uint32_t axes = in.scalar<uint32_t>("a tensor's axes");
  if (axes > 8) throw Error("{}: tensor {} has {} axes", origin, name, axes);
  uint64_t count = 1;
  for (uint32_t i = 0; i < axes; i++) {
    const uint64_t extent = in.scalar<uint64_t>("a tensor's shape");
    if (extent != 0 && count > (uint64_t{1} << 48) / extent) throw Error("{}: tensor {} has an absurd shape", origin, name);
    count *= extent;
    out.tensor.shape.insert(out.tensor.shape.begin(), extent);
  }
  if (count == 0) throw Error("{}: tensor {} is empty", origin, name);
  const uint32_t type = in.scalar<uint32_t>("a tensor's type");
  const TypeInfo* info = type < 1000 ? find_type(type) : nullptr;
  if (!info) throw Error("{}: tensor {} is of type {}, which is not known", origin, name, type);
  out.tensor.type = info->type;
  if (out.tensor.row_length() % info->block != 0)
    throw Error("{}: tensor {}: rows of {} numbers do not divide into {} blocks of {}", origin, name, out.tensor.row_length(),
                info->name, info->block);
  out.size = bytes_of(info->type, count);
  out.offset = in.scalar<uint64_t>("a tensor's offset");
  return out;
}

}  // namespace

GgufContents parse_gguf(std::span<const std::byte> file, const std::string& origin) {
  Reader in(file, origin);
  if (in.scalar<uint32_t>("the magic number") != 0x46554747)
    throw Error("{}: is not a GGUF file (it does not begin with 'GGUF')", origin);
  const uint32_t version = in.scalar<uint32_t>("the version");
  if (version >= 1u << 16) throw Error("{}: is a big-endian GGUF file; only little-endian ones are read", origin);
  if (version != 2 && version != 3) throw Error("{}: GGUF version {}; versions 2 and 3 are read", origin, version);
  const uint64_t tensors = in.scalar<uint64_t>("the number of tensors");
  const uint64_t keys = in.scalar<uint64_t>("the number of keys");
  in.check_count(tensors, 24, "tensors");
  in.check_count(keys, 13, "keys");

  GgufContents out{Metadata(origin), {}};
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < keys; i++) {
    std::string key = in.text("a key");
    if (!names.insert(key).second) throw Error("{}: key {} stands there twice", origin, key);
    MetaValue value = read_value(in, key, origin);
    out.metadata.append(std::move(key), std::move(value));
  }
  const int64_t alignment = out.metadata.integer("general.alignment").value_or(32);
  if (alignment < 8 || alignment > 1 << 20 || (alignment & (alignment - 1)) != 0)
    throw Error("{}: general.alignment is {}; it must be a power of two from 8 to {}", origin, alignment, 1 << 20);

  names.clear();
  std::vector<Placed> placed;
  placed.reserve(tensors);
  for (uint64_t i = 0; i < tensors; i++) {
    placed.push_back(read_tensor(in, origin));
    if (!names.insert(placed.back().tensor.name).second)
      throw Error("{}: tensor {} stands there twice", origin, placed.back().tensor.name);
  }
  const uint64_t align = static_cast<uint64_t>(alignment);
  const uint64_t start = (in.at() + align - 1) / align * align;
  for (Placed& p : placed) {
    if (p.offset % align != 0) throw Error("{}: tensor {} begins at offset {}, off the alignment", origin, p.tensor.name, p.offset);
    const uint64_t room = file.size() > start ? file.size() - start : 0;
    if (p.offset > room || p.size > room - p.offset)
      throw Error("{}: tensor {}: {} bytes past the end of the file; the file is truncated", origin, p.tensor.name,
                  p.offset > room ? p.size : p.size - (room - p.offset));
    p.tensor.bytes = file.subspan(start + p.offset, p.size);
    out.tensors.push_back(std::move(p.tensor));
  }
  check_apart(out.tensors, origin);
  return out;
}

}  // namespace moiety
