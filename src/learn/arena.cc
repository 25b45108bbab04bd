#include "learn/arena.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <xxhash.h>

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace moiety {

namespace {

// Far above any machine's memory, far below where sizes in bytes overflow.
constexpr size_t most_numbers = size_t{1} << 44;

// Every parameter begins on a cache line.
size_t padded(size_t count) { return (count + 15) / 16 * 16; }

}  // namespace

size_t Arena::declare(std::string name, std::vector<int64_t> shape, Initial initial) {
  for (const Parameter& p : parameters_)
    if (p.name == name) throw Error("the parameter {} is declared twice", name);
  Parameter p{std::move(name), std::move(shape), initial, size_, 1, {}};
  for (int64_t n : p.shape)
    if (__builtin_mul_overflow(p.count, static_cast<size_t>(n), &p.count) || p.count > most_numbers || size_ > most_numbers)
      throw UsageError("the parameter {} would have more than {} numbers", p.name, most_numbers);
  size_ += padded(p.count);
  parameters_.push_back(std::move(p));
  return parameters_.size() - 1;
}

size_t Arena::moving() const {
  size_t out = 0;
  for (const Parameter& p : parameters_)
    if (!p.frozen()) out += padded(p.count);
  return out;
}

void Arena::finish(uint64_t seed, Workers& workers, std::optional<at::Device> elsewhere) {
  for (size_t i = 0; i < parameters_.size(); i++) order_.push_back(i);
  std::ranges::stable_partition(order_, [&](size_t i) { return !parameters_[i].frozen(); });
  size_t at = 0;
  for (size_t i : order_) parameters_[i].at = std::exchange(at, at + padded(parameters_[i].count));
  const size_t moving = this->moving();
  values_.assign(size_, 0.0f);
  gradients_.assign(moving, 0.0f);
  means_.assign(moving, 0.0f);
  squares_.assign(moving, 0.0f);
  if (elsewhere) copy_ = at::empty({static_cast<int64_t>(size_)}, at::TensorOptions(at::kFloat).device(*elsewhere));
  for (Parameter& p : parameters_) {
    p.value = elsewhere ? copy_.narrow(0, static_cast<int64_t>(p.at), static_cast<int64_t>(p.count)).view(p.shape) : at::from_blob(values_.data() + p.at, p.shape, at::kFloat);
    p.value.set_requires_grad(!p.frozen());
    const uint64_t place = XXH3_64bits(p.name.data(), p.name.size());
    workers.run(p.count, 4096, [&](size_t begin, size_t end, size_t) {
      for (size_t i = begin; i < end; i++) {
        float& value = values_[p.at + i];
        value = p.initial.mean;
        if (p.initial.deviation > 0) value += p.initial.deviation * standard_normal(seed, place, RandomStream::initial_weights, static_cast<uint32_t>(i));
      }
    });
  }
}

std::optional<Arena::Place> Arena::gradient_of(const at::Tensor& x) {
  if (!ours(x)) return {};
  const float* data = x.data_ptr<float>();
  if (data < values_.data() || data >= values_.data() + gradients_.size()) return {};
  const size_t at = static_cast<size_t>(data - values_.data());
  Parameter& p = parameters_[*std::prev(std::ranges::upper_bound(order_, at, {}, [&](size_t i) { return parameters_[i].at; }))];
  return Place{gradients_.data() + p.at, std::exchange(p.has_gradient, true)};
}

void Arena::begin_step() {
  for (Parameter& p : parameters_) p.has_gradient = false, p.value.mutable_grad().reset();
  refresh();
}

void Arena::end_step() {
  for (Parameter& p : parameters_) {
    if (const at::Tensor& gradient = p.value.grad(); gradient.defined()) {
      at::from_blob(gradients_.data() + p.at, p.shape, at::kFloat).copy_(gradient);
      p.has_gradient = true;
    }
    if (!p.has_gradient && !p.frozen()) std::fill_n(gradients_.data() + p.at, p.count, 0.0f);
  }
}

void Arena::refresh() {
  if (!copy_.defined()) return;
  const at::NoGradGuard outside_the_graph;
  copy_.copy_(at::from_blob(values_.data(), {static_cast<int64_t>(size_)}, at::kFloat));
}

}  // namespace moiety
