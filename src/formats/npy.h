// NumPy arrays: .npy, and several in a .npz.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace moiety {

// C order. The variant's type is the array's.
struct NpyArray {
  std::vector<uint64_t> shape;
  std::variant<std::vector<float>, std::vector<int32_t>, std::vector<int64_t>> values;
};

NpyArray read_npy(const std::filesystem::path& path);
NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& origin);
// What stands before the numbers of such a file: "<f4", "<i4" or "<i8".
std::string npy_header(std::string_view type, std::span<const uint64_t> shape);
// The bytes of such a file.
std::string to_bytes(const NpyArray& array);
void write_npy(const std::filesystem::path& path, const NpyArray& array);

using NpzArrays = std::vector<std::pair<std::string, NpyArray>>;
// A zip file without compression, as numpy.savez writes it.
void write_npz(const std::filesystem::path& path, const NpzArrays& arrays);
NpzArrays parse_npz(std::span<const std::byte> bytes, const std::string& origin);
NpzArrays read_npz(const std::filesystem::path& path);

}  // namespace moiety
