#include "learn/function_rope.h"

#include <cmath>

#include "kernels/ops.h"
#include "learn/function.h"

namespace moiety {
namespace {

// Backwards, everything turns the other way.
at::Tensor turned(const at::Tensor& x, const at::Tensor& cosines, const at::Tensor& sines, int64_t length, int64_t head, int64_t at, Pass& pass) {
  at::Tensor out = at::empty_like(x);
  const ConstRows from = rows_of(x);
  const Rows to = rows_to(out);
  const size_t size = static_cast<size_t>(head), half = static_cast<size_t>(cosines.size(1)), first = static_cast<size_t>(at), last = first + 2 * half;
  pass.workers.run(from.rows, 32, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; r++) {
      const size_t position = r % static_cast<size_t>(length);
      const std::span c(cosines.data_ptr<float>() + position * half, half), s(sines.data_ptr<float>() + position * half, half);
      for (size_t h = 0; h < from.cols; h += size) {
        std::copy_n(from[r] + h, first, to[r] + h);
        rotate({from[r] + h + first, 2 * half}, c, s, false, to[r] + h + first);
        std::copy_n(from[r] + h + last, size - last, to[r] + h + last);
      }
    }
  });
  return out;
}

struct Rope : torch::autograd::Function<Rope> {
  static at::Tensor forward(AutogradContext* c, at::Tensor x, at::Tensor cosines, at::Tensor sines, int64_t length, int64_t head, int64_t at, Pass* pass) {
    c->save_for_backward({cosines, sines});
    c->saved_data["length"] = length;
    c->saved_data["head"] = head;
    c->saved_data["at"] = at;
    keep(c, pass);
    return turned(x, cosines, sines, length, head, at, *pass);
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    const variable_list saved = c->get_saved_variables();
    Pass& pass = kept(c);
    return {turned(d_out[0].contiguous(), saved[0], -saved[1], c->saved_data["length"].toInt(), c->saved_data["head"].toInt(), c->saved_data["at"].toInt(), pass), {}, {}, {}, {}, {}, {}};
  }
};

}  // namespace

RopeTable rope_table(int64_t length, const std::vector<double>& frequencies, double factor) {
  const int64_t half = static_cast<int64_t>(frequencies.size());
  RopeTable out{at::empty({length, half}, at::kFloat), at::empty({length, half}, at::kFloat)};
  for (int64_t t = 0; t < length; t++)
    for (int64_t i = 0; i < half; i++) {
      const double angle = static_cast<double>(t) * frequencies[static_cast<size_t>(i)];
      out.cosines.data_ptr<float>()[t * half + i] = static_cast<float>(std::cos(angle) * factor);
      out.sines.data_ptr<float>()[t * half + i] = static_cast<float>(std::sin(angle) * factor);
    }
  return out;
}

RopeTable rope_table(int64_t length, int64_t size, double base) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < size / 2; i++) frequencies.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(size)));
  return rope_table(length, frequencies, 1);
}

at::Tensor plain_rope(const at::Tensor& x, const RopeTable& table, int64_t length, int64_t head, int64_t at) {
  const int64_t half = table.cosines.size(1), last = at + 2 * half;
  const at::Tensor heads = x.reshape({-1, length, x.size(1) / head, head}), parts = heads.narrow(3, at, 2 * half).reshape({-1, length, x.size(1) / head, 2, half});
  const at::Tensor c = table.cosines.narrow(0, 0, length).to(x.options()).unsqueeze(1), s = table.sines.narrow(0, 0, length).to(x.options()).unsqueeze(1);
  const at::Tensor a = parts.select(3, 0), b = parts.select(3, 1);
  return at::cat({heads.narrow(3, 0, at), a * c - b * s, b * c + a * s, heads.narrow(3, last, head - last)}, 3).reshape(x.sizes());
}

at::Tensor rope(const at::Tensor& x, const RopeTable& table, int64_t length, int64_t head, Pass& pass, int64_t at) {
  return ours(x) ? Rope::apply(x.contiguous(), table.cosines, table.sines, length, head, at, &pass) : plain_rope(x, table, length, head, at);
}

}  // namespace moiety
