// From a file or directory to a Model.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>

#include "base/progress.h"
#include "model/weights.h"

namespace moiety {

// One matrix or vector ([n, 1], float32) of a model while it is loaded as stored.
struct LoadedTensor {
  std::string name;  // canonical, with its block
  size_t element;    // which of a stack by expert or head
  Matrix matrix;     // a vector's numbers live for the call only, a matrix as long as the model
  bool vector;
  bool kernel_order;  // is multiplied with, never read row by row
};

struct LoadOptions {
  bool check = false;  // look at every weight for NaN and infinity
  bool pack = false;   // weights in kernel order, for the fast products; else as stored, for the reference arithmetic in float32
  size_t threads = 0;  // for packing. 0: default_thread_count()
  OnProgress progress = {};  // in bytes of the files; Ctrl-C ends the work between two matrices
  std::function<void(const LoadedTensor&)> visit = {};  // sees every tensor, in the loader's order
};

// A GGUF file (first shard of several is enough) or a Hugging Face directory.
std::shared_ptr<const Model> load_model(const std::filesystem::path& path, const LoadOptions& options = {});

// A canonical tensor of a model: `count` matrices of [rows, cols]; vectors are [n, 1].
struct CanonicalTensor {
  std::string name;
  int block;  // -1: the model's own
  size_t count, rows, cols;
  bool vector;
  bool stack;  // by expert or head, also where there is one
};
// Every tensor that the loader asks a checkpoint of this configuration for, in its order.
std::vector<CanonicalTensor> canonical_tensors(const Config& config);

// Every tensor of the configuration stands in the checkpoint in its shape, and no other: an Error that names the first of which that
// is not so. Gives a line for each kind of tensor that is left out.
class Checkpoint;
std::vector<std::string> check_tensors(Checkpoint& file);

}  // namespace moiety
