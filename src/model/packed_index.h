// Where everything lies in a packed file: a GGUF file whose tensors are records, each of one or several parts (docs/format.md).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/gguf.h"
#include "kernels/matrix.h"

namespace moiety {

inline constexpr uint32_t packed_version = 1;
inline constexpr size_t packed_record_alignment = 4096, packed_part_alignment = 64;
inline constexpr const char* packed_checksums = "moiety.pack.checksums";  // the tensor that holds them

enum class PartOrder : uint8_t { rows, panels };  // as in kernels/matrix.h

// A matrix, or a vector [n, 1], as the model computes with it.
struct PackedPart {
  std::string name;    // canonical, with its block: "blk.3.ffn_gate_exps.weight"
  uint32_t element;    // which of a stack by expert or head; 0 elsewhere
  std::string record;  // the tensor that it lies in
  TensorType type;
  PartOrder order;
  uint64_t rows, cols, offset, bytes;
};

// Whether a part may be of this type: a weight's, and one that GGUF has a number for.
bool can_be_packed(TensorType type);
// Bytes of a part of this form.
uint64_t part_bytes(TensorType type, PartOrder order, uint64_t rows, uint64_t cols);
void set_packed_index(Metadata& metadata, const std::vector<PackedPart>& parts);

class PackedIndex {
 public:
  // Nothing if the file is not a packed one; its bytes begin at a page, as mapped ones do. Believes nothing: an Error if a part is not what its type and shape say, not inside its record,
  // shares bytes with another, or if one of a stack is missing or there twice.
  static std::optional<PackedIndex> read(const GgufFile& file);

  // The matrix where it lies. An Error if it has another shape; nothing if it is not there. `check`: its bytes are those that were written.
  std::optional<Matrix> find(const std::string& name, size_t element, size_t rows, size_t cols, bool check);
  // An Error if there is a part that find was never asked for: the file is none of this model.
  void check_all_found() const;

  // The parts as tensors, those of a stack as "name:element".
  const std::vector<Tensor>& tensors() const { return tensors_; }
  size_t records() const { return records_; }
  size_t parts() const { return parts_.size(); }
  uint64_t fingerprint() const { return fingerprint_; }
  bool rope_interleaved() const { return rope_interleaved_; }

 private:
  struct Located {
    PackedPart part;
    const std::byte* data;
    uint64_t checksum;
    bool found = false;
  };
  void add(const GgufFile& file, PackedPart part, uint64_t checksum);
  void check_apart() const;
  void check_stacks() const;
  void list(bool tied_output_is_a_copy);

  std::string origin_;
  std::vector<Located> parts_;
  std::unordered_map<std::string, size_t> by_name_;
  std::vector<Tensor> tensors_;
  size_t records_ = 0;
  uint64_t fingerprint_ = 0;
  bool rope_interleaved_ = false;
};

}  // namespace moiety
