// Importance matrices: how much each input channel of a matrix matters, as llama.cpp's llama-imatrix measures it on a text.
//
// Two layouts, both little-endian. The older (.dat): a count of entries; each is a name (length, bytes), the number of calls, the
// number of values and the values, sums of squares to be divided by the calls. The newer is GGUF: for each name a tensor NAME.in_sum2
// [experts, channels] and one NAME.counts [experts]. A stack of experts has values for each expert.
#pragma once
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace moiety {

class ImportanceMatrix {
 public:
  static ImportanceMatrix read(const std::filesystem::path& path);
  static ImportanceMatrix parse(std::span<const std::byte> file, const std::string& origin);

  const std::string& origin() const { return origin_; }
  size_t size() const { return entries_.size(); }
  bool contains(const std::string& tensor) const { return entries_.contains(tensor); }
  // Mean squares of the `channels` inputs of the i-th of `count` matrices; empty if there is no entry, or the expert was never chosen.
  // An Error if the entry has another size.
  std::span<const float> find(const std::string& tensor, size_t i, size_t count, size_t channels) const;

 private:
  void read_dat(std::span<const std::byte> file);
  void read_gguf(std::span<const std::byte> file);
  void add(const std::string& name, std::vector<float> values);

  std::string origin_;
  std::map<std::string, std::vector<float>> entries_;
};

}  // namespace moiety
