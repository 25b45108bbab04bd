// Sequences of one model and what it remembers of them. Several may be computed in one batch; what a token gives never depends on what
// else is computed with it, on the chunking, or on the number of threads.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/threads.h"
#include "model/step.h"
#include "routing/policy.h"

namespace moiety {

struct SessionOptions {
  size_t threads = 0;  // 0: default_thread_count()
  TensorType cache_type = TensorType::f16;
  uint32_t context = 0;  // positions of a sequence; 0: the trained length, at most 4096
  size_t chunk = 512;    // rows computed at once; never changes a result
  std::string routing = "@model";
  bool allow_batch_dependent = false;
};

// So many rows of logits are computed at once; never changes a result.
constexpr size_t logit_rows = 32;

enum class WantLogits : uint8_t { none, last, all };

struct Append {
  uint32_t sequence;
  std::span<const int32_t> ids;
  WantLogits logits = WantLogits::last;
};

// Not to be used by two threads at once.
class Session {
 public:
  Session(std::shared_ptr<const Model> model, const SessionOptions& options);

  const Model& model() const { return *model_; }
  uint32_t context() const { return context_; }
  TensorType cache_type() const { return cache_type_; }

  // A routing made in code, for what no text says: add_sequence and load know it by its `text` from now on.
  void add_routing(std::shared_ptr<const BoundRouting> routing);
  // A new, empty sequence; `routing` other than the session's if not empty. `seed` is for stages that draw.
  uint32_t add_sequence(const std::string& routing = "", uint64_t seed = 0);
  void remove_sequence(uint32_t sequence);
  uint32_t copy_sequence(uint32_t sequence);
  void truncate(uint32_t sequence, size_t length);
  // Cuts a sequence to what it has in common with the beginning of `ids`, so that only the rest is appended. Returns how many those are.
  size_t truncate_to_common(uint32_t sequence, std::span<const int32_t> ids);
  // The sequence will grow to this length: ropes that depend on it take it from the start.
  void declare_length(uint32_t sequence, uint32_t length);
  std::span<const int32_t> ids(uint32_t sequence) const { return at(sequence).ids; }
  // How many of them need no more computing.
  size_t computed(uint32_t sequence) const { return at(sequence).computed; }

  // An Error if these ids cannot stand in a sequence of `length` tokens: outside the vocabulary, or too many for the context.
  void check(std::span<const int32_t> ids, size_t length = 0) const;
  // Computes the appended tokens; a sequence stands in the batch once. Result i: logits [1 or ids, vocab] of append i, or nothing.
  std::vector<std::vector<float>> evaluate(std::span<const Append> appends, Observer* observer = nullptr);
  // The same, row by row as they come, those of an append in order; none is kept.
  using TakeLogits = std::function<void(size_t append, std::span<const float> logits)>;
  void evaluate(std::span<const Append> appends, Observer* observer, const TakeLogits& take);

  // Told while tokens are computed, block by block, how many more are done. What it throws ends the work.
  void watch(std::function<void(size_t tokens)> on_tokens) { on_tokens_ = std::move(on_tokens); }

  // One sequence as a file, and back into a new sequence of a session of the same model and cache type.
  void save(uint32_t sequence, const std::filesystem::path& path) const;
  uint32_t load(const std::filesystem::path& path);
  // As load, from the bytes of such a file; `origin` names it in messages.
  uint32_t restore(std::span<const std::byte> bytes, const std::string& origin);

  uint64_t cache_bytes() const;

 private:
  struct Sequence : SequenceState {
    size_t computed = 0;  // positions in the caches; fewer than ids after a cut that the state could not follow
  };
  Sequence& at(uint32_t sequence);
  const Sequence& at(uint32_t sequence) const;
  std::shared_ptr<const BoundRouting> bind(const std::string& text);
  void forget(Sequence& sequence) const;
  void choose_frequencies(Sequence& sequence) const;
  void run_rows(std::span<const Append> appends, Observer* observer, const TakeLogits& take);

  std::shared_ptr<const Model> model_;
  Workers workers_;
  TensorType cache_type_;
  uint32_t context_;
  size_t chunk_;
  std::string routing_;
  bool allow_batch_dependent_;
  std::map<std::string, std::shared_ptr<const BoundRouting>> bound_;
  std::map<uint32_t, Sequence> sequences_;
  uint32_t next_ = 0;
  std::function<void(size_t)> on_tokens_;
};

}  // namespace moiety
