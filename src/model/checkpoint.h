// A checkpoint of either format behind one face: its configuration, and its tensors by canonical name.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/gguf.h"
#include "formats/hf_directory.h"
#include "model/packed_index.h"
#include "model/stored.h"

namespace moiety {

class Checkpoint {
 public:
  static Checkpoint open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  // What the model is called: by its file if that says so, else by the file's own name or the directory's.
  std::string name() const;
  bool is_gguf() const { return gguf_ != nullptr; }
  const GgufFile* gguf() const { return gguf_.get(); }
  const HfDirectory* hf() const { return hf_.get(); }
  const Config& config() const { return config_; }
  // Of a packed file: where its matrices and vectors lie; null for others. It has no tensors that `find` and `type_of` could give.
  const PackedIndex* packed() const { return packed_ ? &*packed_ : nullptr; }
  PackedIndex* packed() { return packed_ ? &*packed_ : nullptr; }
  const std::vector<Tensor>& tensors() const { return packed_ ? packed_->tensors() : is_gguf() ? gguf_->tensors() : hf_->tensors(); }

  // The i-th of `count` matrices that a canonical name stands for (experts, heads; 0 of 1 for plain matrices), where it lies.
  // `block`: entry of the schedule, -1 for the model's own tensors. Nothing if the checkpoint has no such tensor. An Error if it has another shape than [rows, cols]. Vectors are [n, 1].
  std::optional<StoredMatrix> find(const std::string& name, int block, size_t i, size_t count, size_t rows, size_t cols);
  // The same question, answered without reading or decoding a number.
  std::optional<TensorType> type_of(const std::string& name, int block, size_t i, size_t count, size_t rows, size_t cols);
  // Of tensors that `find` has to decode or join, only the last one stays: for passes that look at each once. Views of others end.
  void keep_only_last_decoded() { only_last_decoded_ = true; }
  // Whether bytes that `find` gave lie in a mapped file; others were decoded.
  bool mapped(const std::byte* data) const;
  // How the numbers of that name are to be adjusted.
  Adjust adjust(const std::string& name, int block);

  // Tensors that nothing asked for: known kinds are noted in a line each, others are an Error.
  std::vector<std::string> unclaimed() const;
  // What holds the mapped bytes, and those that `find` had to decode.
  std::vector<std::shared_ptr<void>> storage() const;

 private:
  const TensorName* row_of(const std::string& name, int block, size_t expert, std::string& stored);
  // A tensor as `find` will see it: what is stored in pieces counts as joined.
  struct Located {
    std::string spelling;  // its name in this checkpoint
    TensorType type;
    std::vector<uint64_t> shape;
    uint64_t count() const;
  };
  std::optional<Located> locate(const std::string& name);
  std::optional<Located> locate_matrix(const TensorName& row, const std::string& stored, size_t count, size_t rows, size_t cols);
  const Tensor& joined(const Located& tensor);
  const Tensor& keep(const std::string& name, const Tensor& like, TensorType type, std::shared_ptr<std::vector<std::byte>> bytes);

  std::filesystem::path path_;
  std::shared_ptr<GgufFile> gguf_;
  std::shared_ptr<HfDirectory> hf_;
  std::optional<PackedIndex> packed_;
  Config config_;
  std::unordered_map<std::string, std::vector<TensorName>> names_;        // by canonical name
  std::unordered_map<std::string, const Tensor*> by_name_;                // by stored name
  std::unordered_map<std::string, std::shared_ptr<Tensor>> decoded_;      // stored in pieces, joined here
  std::vector<std::shared_ptr<void>> decoded_bytes_;
  std::unordered_set<std::string> claimed_;
  bool only_last_decoded_ = false;
};

}  // namespace moiety
