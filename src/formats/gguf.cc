#include "formats/gguf.h"

#include <regex>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "formats/gguf_parse.h"

namespace moiety {
namespace {

// "name-00001-of-00003.gguf" -> the names of all three.
std::vector<std::filesystem::path> shards_of(const std::filesystem::path& path, uint64_t count) {
  static const std::regex pattern("(.*)-([0-9]{5})-of-([0-9]{5})\\.gguf");
  const std::string name = path.filename().string();
  std::smatch match;
  if (!std::regex_match(name, match, pattern) || std::stoul(match[3]) != count)
    throw Error("{}: says that it is one of {} files, but is not named like one (name-00001-of-{:05}.gguf)", path.string(), count, count);
  if (std::stoul(match[2]) != 1) throw Error("{}: is not the first of its {} files; give the first", path.string(), count);
  std::vector<std::filesystem::path> out;
  for (uint64_t i = 1; i <= count; i++)
    out.push_back(path.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", match[1].str(), i, count));
  return out;
}

}  // namespace

GgufFile GgufFile::parse(std::span<const std::byte> bytes, const std::string& origin) {
  GgufFile out;
  out.path_ = origin;
  out.files_ = {origin};
  GgufContents contents = parse_gguf(bytes, origin);
  out.metadata_ = std::move(contents.metadata);
  out.tensors_ = std::move(contents.tensors);
  out.index();
  return out;
}

GgufFile GgufFile::open(const std::filesystem::path& path) {
  auto maps = std::make_shared<std::vector<MappedFile>>();
  maps->emplace_back(path);
  GgufFile out = parse(maps->back().bytes(), path.string());
  const int64_t count = out.metadata_.integer("split.count").value_or(1);
  if (count < 0 || count > 10000) throw Error("{}: says that it is one of {} files", path.string(), count);
  if (count > 1) {
    const std::vector<std::filesystem::path> shards = out.files_ = shards_of(path, static_cast<uint64_t>(count));
    std::unordered_set<std::string> names;
    for (const Tensor& tensor : out.tensors_) names.insert(tensor.name);
    for (size_t i = 1; i < shards.size(); i++) {
      if (!std::filesystem::exists(shards[i])) throw Error("{}: is missing, one of the {} files of {}", shards[i].string(), count, path.string());
      maps->emplace_back(shards[i]);
      GgufContents part = parse_gguf(maps->back().bytes(), shards[i].string());
      if (part.metadata.integer("split.no").value_or(-1) != static_cast<int64_t>(i))
        throw Error("{}: is not number {} of {} files", shards[i].string(), i + 1, count);
      for (Tensor& tensor : part.tensors) {
        if (!names.insert(tensor.name).second) throw Error("{}: tensor {} stands in another shard too", shards[i].string(), tensor.name);
        out.tensors_.push_back(std::move(tensor));
      }
    }
    if (auto total = out.metadata_.integer("split.tensors.count"); total && static_cast<size_t>(*total) != out.tensors_.size())
      throw Error("{}: {} tensors in all shards, {} were announced", path.string(), out.tensors_.size(), *total);
  }
  out.mapping_ = maps;
  out.index();
  return out;
}

void GgufFile::index() {
  by_name_.clear();
  for (size_t i = 0; i < tensors_.size(); i++) by_name_.emplace(tensors_[i].name, i);
}

void GgufFile::want_huge_pages() const {
  if (!mapping_) return;
  for (const MappedFile& file : *mapping_) file.want_huge_pages();
}

const Tensor* GgufFile::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace moiety
