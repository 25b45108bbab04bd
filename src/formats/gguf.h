// GGUF, versions 2 and 3, little-endian, in one file or several: mapped, never read whole.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/metadata.h"
#include "formats/tensor.h"

namespace moiety {

class MappedFile;

class GgufFile {
 public:
  GgufFile(GgufFile&&) = default;  // keeps the names where they are; a copy would not
  GgufFile& operator=(GgufFile&&) = default;
  // `path`: the file, or the first of several shards (`name-00001-of-00003.gguf`). Checks every offset, size and count before
  // it is believed. The tensors' bytes live as long as this object.
  static GgufFile open(const std::filesystem::path& path);
  // The same of bytes that the caller keeps; `origin` stands for the path in messages. Other shards are not looked for.
  static GgufFile parse(std::span<const std::byte> bytes, const std::string& origin);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<std::filesystem::path>& files() const { return files_; }  // all shards
  const Metadata& metadata() const { return metadata_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }
  const Tensor* find(std::string_view name) const;
  void want_huge_pages() const;  // as MappedFile

 private:
  GgufFile() = default;
  void index();

  std::filesystem::path path_;
  std::vector<std::filesystem::path> files_;
  Metadata metadata_;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string_view, size_t> by_name_;  // views of the tensors' names
  std::shared_ptr<std::vector<MappedFile>> mapping_;  // none if the bytes are the caller's
};

// A tensor to be written: its place is planned first, its bytes are asked for when their turn comes.
struct GgufPlannedTensor {
  std::string name;
  TensorType type;
  std::vector<uint64_t> shape;  // outermost first
  std::function<void(std::span<std::byte>)> fill;
};

// Writes version 3, aligned to `general.alignment` (32 if unset), under a temporary name that becomes `path` at the end.
void write_gguf(const std::filesystem::path& path, const Metadata& metadata, std::span<const GgufPlannedTensor> tensors);

}  // namespace moiety
