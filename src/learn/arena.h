// All parameters of a model in one array, and beside it gradients and the optimiser's moments of those that move. Frozen ones come last in it, so that
// they cost no more than their own numbers.
//
// A parameter's tensor is a view of the array, a leaf of the graph. A backward pass asks where its gradient goes, writes or adds there, and gives
// the graph nothing: no gradient is ever copied. On another device the graph works on a copy of the values, and its gradients come back: the
// optimiser is here in both cases.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gradients/room.h"
#include "learn/tensor.h"

namespace moiety {

// What a parameter is before training: normal numbers of this mean and deviation.
struct Initial {
  float mean = 0, deviation = 0;
};

// How numbers move.
struct Motion {
  float rate = 1, decay = 1;  // multiply the optimiser's
  bool frozen = false;
  bool operator==(const Motion&) const = default;
};

struct Parameter {
  std::string name;  // GGUF's, "blk.3.ffn_gate_up_exps.weight"
  std::vector<int64_t> shape;
  Initial initial;
  size_t at = 0, count = 0;  // its numbers in the arrays
  at::Tensor value;              // once all are declared: a view, or its like on another device
  std::vector<Motion> motion = {{}};  // of all of it, or one for each expert of a stack, which is its first axis
  size_t first_expert = 0;    // the id of a stack's first
  bool has_gradient = false;  // in this step

  bool frozen() const { return std::ranges::all_of(motion, &Motion::frozen); }
};

class Arena {
 public:
  // Returns the parameter's index. Names are unique.
  size_t declare(std::string name, std::vector<int64_t> shape, Initial initial);
  // No more parameters: allocates, and draws the values; a draw depends on the seed, the parameter's name and the number's place alone.
  void finish(uint64_t seed, Workers& workers, std::optional<at::Device> elsewhere = {});

  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const at::Tensor& value(size_t index) const { return parameters_[index].value; }
  size_t size() const { return size_; }
  size_t moving() const;  // numbers that gradients, moments and averages have, too: the first ones, once the arena is finished
  float* values() { return values_.data(); }
  float* gradients() { return gradients_.data(); }
  float* means() { return means_.data(); }
  float* squares() { return squares_.data(); }
  // The average of the weights (learn/average.h), from what they are now on; null before.
  void keep_average() { averages_.assign(values_.begin(), values_.begin() + static_cast<ptrdiff_t>(means_.size())); }
  float* averages() { return averages_.empty() ? nullptr : averages_.data(); }

  // Where the gradient of a tensor goes; `add` where something stands there already. None if it is not a parameter that moves.
  struct Place {
    float* data;
    bool add;
  };
  std::optional<Place> gradient_of(const at::Tensor& x);
  // Before the first backward pass of a step; and after its last: gradients that nothing wrote are zeros.
  void begin_step();
  void end_step();
  // Brings the graph's values up to date, where they are on another device. begin_step does.
  void refresh();

 private:
  std::vector<Parameter> parameters_;
  std::vector<size_t> order_;  // of the parameters in the arrays
  size_t size_ = 0;
  Floats values_, gradients_, means_, squares_, averages_;
  at::Tensor copy_;  // [size] of the values on another device, or undefined
};

}  // namespace moiety
