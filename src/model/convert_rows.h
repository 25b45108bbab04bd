// The numbers of a conversion: rows read from the source, adjusted, and encoded, on all threads.
#pragma once
#include <atomic>
#include <cstddef>
#include <span>

#include "base/threads.h"
#include "model/convert_plan.h"

namespace moiety {

class RowWriter {
 public:
  // `config`: the target's. `interleaved`: how rotated pairs of q and k lie there.
  RowWriter(Checkpoint& in, const Config& config, const ConvertOptions& options, bool interleaved);
  uint64_t total_bytes = 0;  // of all tensors, for the progress

  // Writes the numbers of one stored tensor. The same bytes on any number of threads.
  void fill(const Target& target, std::span<std::byte> out);

 private:
  struct Matrix {  // one matrix of a stored tensor, on its way
    const CanonicalTensor& tensor;
    size_t i;
    StoredMatrix out;
    std::optional<StoredMatrix> source;
    Adjust stored, wanted;
    bool edits;
    std::span<const float> importance;
  };
  void fill_matrix(const Target& target, const Matrix& matrix);
  void put_row(const Target& target, const Matrix& matrix, size_t row, std::vector<float>& numbers) const;
  size_t source_row(const CanonicalTensor& tensor, size_t row) const;

  Checkpoint& in_;
  const Config& c_;
  const ConvertOptions& o_;
  const bool interleaved_;
  Workers workers_;
  std::vector<std::vector<float>> rows_;  // a buffer for each worker
  std::atomic<uint64_t> done_bytes_ = 0;
};

}  // namespace moiety
