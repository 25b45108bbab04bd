#include "learn/function_bias.h"

#include "kernels/ops.h"
#include "learn/function.h"

namespace moiety {
namespace {

struct Bias : torch::autograd::Function<Bias> {
  static at::Tensor forward(AutogradContext* c, at::Tensor x, at::Tensor bias, Pass* pass) {
    at::Tensor out = at::empty_like(x);
    const ConstRows from = rows_of(x), added{bias.data_ptr<float>(), from.rows, from.cols, 0};
    add_rows(from, added, rows_to(out), pass->workers);
    c->save_for_backward({bias});
    keep(c, pass);
    return out;
  }
  // A column's sum is taken from the first row to the last, whoever takes it.
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const at::Tensor dy = d_out[0].contiguous();
    GradientPlace place(pass, c->get_saved_variables()[0]);
    if (place) {
      const ConstRows rows = rows_of(dy);
      pass.workers.run(rows.cols, 64, [&](size_t begin, size_t end, size_t) {
        if (!place.add) std::fill(place.data + begin, place.data + end, 0.0f);
        for (size_t r = 0; r < rows.rows; r++) add({place.data + begin, end - begin}, {rows[r] + begin, end - begin});
      });
    }
    return {dy, place.tensor, {}};
  }
};

}  // namespace

at::Tensor plain_add_bias(const at::Tensor& x, const at::Tensor& bias) { return x + bias; }

at::Tensor add_bias(const at::Tensor& x, const at::Tensor& bias, Pass& pass) {
  return ours(x) ? Bias::apply(x.contiguous(), bias, &pass) : plain_add_bias(x, bias);
}

}  // namespace moiety
