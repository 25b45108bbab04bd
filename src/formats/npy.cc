#include "formats/npy.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <regex>

#include "base/error.h"
#include "base/file.h"

namespace moiety {
namespace {

template <class T>
constexpr const char* descr = nullptr;
template <>
constexpr const char* descr<float> = "<f4";
template <>
constexpr const char* descr<int32_t> = "<i4";
template <>
constexpr const char* descr<int64_t> = "<i8";

template <class T>
std::vector<T> numbers(std::span<const std::byte> bytes, uint64_t count) {
  std::vector<T> out(count);
  if (count) std::memcpy(out.data(), bytes.data(), count * sizeof(T));
  return out;
}

// CRC-32 of zip files (polynomial 0xedb88320).
uint32_t crc32(std::string_view data) {
  static const auto table = [] {
    std::array<uint32_t, 256> t;
    for (uint32_t i = 0; i < 256; i++) {
      t[i] = i;
      for (int k = 0; k < 8; k++) t[i] = t[i] & 1 ? t[i] >> 1 ^ 0xedb88320 : t[i] >> 1;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (unsigned char c : data) crc = table[(crc ^ c) & 255] ^ crc >> 8;
  return ~crc;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace

// "\x93NUMPY", version 1.0, header length u16, header as a Python dict padded to 64
std::string npy_header(std::string_view type, std::span<const uint64_t> shape) {
  std::string extents;
  for (uint64_t extent : shape) extents += fmt::format("{}, ", extent);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, extents);
  header.resize((10 + header.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(header.size() & 255);
  out += static_cast<char>(header.size() >> 8);
  return out + header;
}

std::string to_bytes(const NpyArray& array) {
  return std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        std::string out = npy_header(descr<T>, array.shape);
        out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
        return out;
      },
      array.values);
}

NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& origin) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < 12 || !text.starts_with("\x93NUMPY")) throw Error("{}: is not a .npy file", origin);
  const bool long_header = text[6] != 1;
  uint32_t length = 0;
  std::memcpy(&length, text.data() + 8, long_header ? 4 : 2);
  const size_t start = long_header ? 12 : 10;
  if (length > text.size() - start) throw Error("{}: is truncated", origin);
  const std::string header(text.substr(start, length));
  std::smatch match;
  static const std::regex pattern("'descr': *'([^']*)'.*'fortran_order': *(True|False).*'shape': *\\(([0-9, ]*)\\)");
  if (length > 4096 || !std::regex_search(header, match, pattern) || match[2] == "True") throw Error("{}: has a header that is not read", origin);
  NpyArray out;
  uint64_t count = 1;
  const std::string extents = match[3];
  for (const char* p = extents.c_str(); *p;) {
    char* end;
    const uint64_t extent = std::strtoull(p, &end, 10);
    if (end == p) {
      p++;
      continue;
    }
    if (extent && count > (uint64_t{1} << 40) / extent) throw Error("{}: has an absurd shape", origin);
    count *= extent;
    out.shape.push_back(extent);
    p = end;
  }
  const std::string type = match[1];
  const std::span<const std::byte> data = bytes.subspan(start + length);
  const uint64_t size = type == "<i8" ? 8 : 4;
  if (data.size() < count * size) throw Error("{}: is truncated", origin);
  if (type == "<f4") out.values = numbers<float>(data, count);
  else if (type == "<i4") out.values = numbers<int32_t>(data, count);
  else if (type == "<i8") out.values = numbers<int64_t>(data, count);
  else throw Error("{}: holds numbers of type {}; float32, int32 and int64 are read", origin, type);
  return out;
}

NpyArray read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_npy(file.bytes(), path.string());
}

void write_npy(const std::filesystem::path& path, const NpyArray& array) {
  AtomicFile out(path);
  out.write(to_bytes(array));
  out.commit();
}

void write_npz(const std::filesystem::path& path, const NpzArrays& arrays) {
  AtomicFile out(path);
  std::string directory;
  for (const auto& [name, array] : arrays) {
    const std::string data = to_bytes(array), file = name + ".npy";
    if (data.size() >= UINT32_MAX || out.offset() >= UINT32_MAX) throw Error("{}: array {} is too large for a .npz file", path.string(), name);
    auto entry = [&](std::string& to, bool central) {
      put<uint32_t>(to, central ? 0x02014b50 : 0x04034b50);
      if (central) put<uint16_t>(to, 20);
      put<uint16_t>(to, 20);  // version needed
      put<uint16_t>(to, 0);   // flags
      put<uint16_t>(to, 0);   // stored
      put<uint32_t>(to, 0x00210000);  // 1980-01-01: the same arrays give the same file
      put<uint32_t>(to, crc32(data));
      put<uint32_t>(to, static_cast<uint32_t>(data.size()));
      put<uint32_t>(to, static_cast<uint32_t>(data.size()));
      put<uint16_t>(to, static_cast<uint16_t>(file.size()));
      put<uint16_t>(to, 0);
      if (central) {
        to.append(10, '\0');  // comment length, disk, attributes
        put<uint32_t>(to, static_cast<uint32_t>(out.offset()));
      }
      to += file;
    };
    entry(directory, true);
    std::string head;
    entry(head, false);
    out.write(head);
    out.write(data);
  }
  const auto start = static_cast<uint32_t>(out.offset());
  out.write(directory);
  std::string tail;
  put<uint32_t>(tail, 0x06054b50);
  put<uint32_t>(tail, 0);
  put<uint16_t>(tail, static_cast<uint16_t>(arrays.size()));
  put<uint16_t>(tail, static_cast<uint16_t>(arrays.size()));
  put<uint32_t>(tail, static_cast<uint32_t>(directory.size()));
  put<uint32_t>(tail, start);
  put<uint16_t>(tail, 0);
  out.write(tail);
  out.commit();
}

NpzArrays parse_npz(std::span<const std::byte> bytes, const std::string& origin) {
  NpzArrays out;
  auto at = [&](size_t offset, size_t size) -> uint64_t {
    if (offset + size > bytes.size()) throw Error("{}: is truncated", origin);
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + offset, size);
    return value;
  };
  if (bytes.size() < 22 || at(bytes.size() - 22, 4) != 0x06054b50) throw Error("{}: is not a .npz file as numpy.savez writes it", origin);
  const uint64_t count = at(bytes.size() - 22 + 10, 2);
  size_t entry = at(bytes.size() - 22 + 16, 4), taken = 0;
  for (uint64_t i = 0; i < count; i++) {
    if (at(entry, 4) != 0x02014b50) throw Error("{}: its directory is damaged", origin);
    if (at(entry + 10, 2) != 0) throw Error("{}: is compressed; write it with numpy.savez", origin);
    const size_t size = at(entry + 20, 4), name_size = at(entry + 28, 2), extra = at(entry + 30, 2), comment = at(entry + 32, 2);
    const size_t local = at(entry + 42, 4);
    if (entry + 46 + name_size > bytes.size()) throw Error("{}: is truncated", origin);
    std::string name(reinterpret_cast<const char*>(bytes.data() + entry + 46), name_size);
    if (name.ends_with(".npy")) name.resize(name.size() - 4);
    const size_t data = local + 30 + at(local + 26, 2) + at(local + 28, 2);
    if (data > bytes.size() || size > bytes.size() - data) throw Error("{}: array {} is truncated", origin, name);
    // Many entries that point at the same bytes would unpack to more than any memory.
    if ((taken += size) > bytes.size()) throw Error("{}: its arrays share bytes; the file is damaged", origin);
    out.emplace_back(name, parse_npy(bytes.subspan(data, size), origin + ": " + name));
    entry += 46 + name_size + extra + comment;
  }
  return out;
}

NpzArrays read_npz(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_npz(file.bytes(), path.string());
}

}  // namespace moiety
