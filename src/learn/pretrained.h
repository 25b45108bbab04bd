// A model that a run starts from: [model] from = "PATH", a Hugging Face directory or a GGUF file.
//
//   [model]
//   from = "smollm2.gguf"
//   context = 512                      # rows of a window, at most what the model was made for
//   balance = "switch_aux(0.01)"       # of all its routers (learn/balance.h)
//   z_loss = 1e-4
//
// Its configuration is the description of the parts, its weights (decoded to float32) the numbers that training begins with, and what is
// trained is written as the same family, with the same tokenizer.
#pragma once
#include <filesystem>
#include <memory>

#include "base/progress.h"
#include "learn/checkpoint.h"
#include "learn/description.h"
#include "model/checkpoint.h"

namespace moiety {

class Pretrained {
 public:
  // An Error that lists what of the model the trainer has no parts for.
  static Pretrained open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_->path(); }
  int64_t vocabulary() const { return static_cast<int64_t>(file_->config().vocab); }
  // A table [model] that declares the same model. `model`: the one with `from`, of which this reads the other keys.
  Description description(const Table& model) const;
  // Fills parameters and buffers. An Error for weights that are missing, or no finite numbers.
  void read(Arena& arena, const Buffers& buffers, const OnProgress& progress) const;
  // A Hugging Face directory, float32, of the same family: with the arena's numbers and, beside them, what `add_companions` puts there.
  void write(Arena& arena, const Buffers& buffers, const std::filesystem::path& directory, size_t threads,
             const std::function<void(const std::filesystem::path&)>& add_companions) const;
  // The model's own tokenizer, special tokens and chat template.
  void copy_tokenizer(const std::filesystem::path& directory) const;

 private:
  std::shared_ptr<Checkpoint> file_;
};

}  // namespace moiety
