// What a conversion will write, before it writes: the tensors of the new file, where their numbers come from, and their types.
#pragma once
#include <string>
#include <vector>

#include "model/convert.h"

namespace moiety {

struct Piece {  // a canonical tensor inside a stored one
  CanonicalTensor tensor;
  TensorName name;
};

struct Target {  // a tensor of the new file
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<uint64_t> shape;
  std::vector<Piece> pieces;
  size_t element = 0;  // where experts have a tensor each: which of the stack stands here
  bool one_each = false;

  const CanonicalTensor& first() const { return pieces[0].tensor; }
  uint64_t row_length() const { return shape.back(); }
  uint64_t bytes() const;
  // Which matrices of its pieces stand here.
  size_t begin() const { return one_each ? element : 0; }
  size_t end(const CanonicalTensor& tensor) const { return one_each ? element + 1 : tensor.count; }
};

// The tensors of the source, under the names of the target.
class ConvertSource {
 public:
  ConvertSource(Checkpoint& in, const ConvertOptions& options) : in_(in), o_(options) {}
  const std::string& path() const { return path_; }
  ConvertOptions::Origin origin(const CanonicalTensor& t, size_t i) const {
    return o_.origin ? o_.origin(t, i) : ConvertOptions::Origin{t.name, i, t.count};
  }
  // F32 for what is made; an Error for what is missing.
  TensorType type(const CanonicalTensor& t, size_t i) const;
  bool edits(const CanonicalTensor& t, size_t i) const { return o_.edit_row && o_.edit_row(t, i, 0, {}); }

 private:
  Checkpoint& in_;
  const ConvertOptions& o_;
  std::string path_ = in_.path().string();
};

// Names and shapes of a model's tensors in a Hugging Face directory or a GGUF file. `origin` names the model in messages.
std::vector<Target> plan_targets(const Config& config, bool to_hf, const std::string& origin);
// Types. What falls back to another one is noted.
void choose_types(const Config& config, const ConvertOptions& options, const ConvertSource& source, std::vector<Target>& targets,
                  std::vector<std::string>& notes);

}  // namespace moiety
