#include "learn/function_norm.h"

#include "gradients/rms_norm.h"
#include "kernels/ops.h"
#include "learn/function.h"

namespace moiety {
namespace {

// Through the norm alone, from what both functions below save: the rows that were normed, the weight, the rows' factors.
struct NormGradient {
  at::Tensor dx, d_weight;

  NormGradient(const variable_list& saved, const at::Tensor& d_normed, Pass& pass) : dx(at::empty_like(saved[0])) {
    const at::Tensor dy = d_normed.contiguous();
    GradientPlace dw(pass, saved[1]);
    rms_norm_gradient(rows_of(saved[0]), saved[1].data_ptr<float>(), saved[2].data_ptr<float>(), rows_of(dy), rows_to(dx), dw.data, dw.add, pass.room, pass.workers);
    d_weight = dw.tensor;
  }
};

struct Norm : torch::autograd::Function<Norm> {
  static at::Tensor forward(AutogradContext* c, at::Tensor x, at::Tensor weight, double eps, Pass* pass) {
    at::Tensor y = at::empty_like(x), factors = at::empty({x.size(0)}, x.options());
    rms_norm(rows_of(x), weight.data_ptr<float>(), static_cast<float>(eps), rows_to(y), factors.data_ptr<float>(), pass->workers);
    c->save_for_backward({x, weight, factors});
    keep(c, pass);
    return y;
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    const NormGradient g(c->get_saved_variables(), d_out[0], kept(c));
    return {g.dx, g.d_weight, {}, {}};
  }
};

struct SumNorm : torch::autograd::Function<SumNorm> {
  static variable_list forward(AutogradContext* c, at::Tensor x, at::Tensor y, at::Tensor weight, double eps, Pass* pass) {
    at::Tensor sum = at::empty_like(x), normed = at::empty_like(x), factors = at::empty({x.size(0)}, x.options());
    add_rows(rows_of(x), rows_of(y), rows_to(sum), pass->workers);
    rms_norm(rows_of(sum), weight.data_ptr<float>(), static_cast<float>(eps), rows_to(normed), factors.data_ptr<float>(), pass->workers);
    c->save_for_backward({sum, weight, factors});
    keep(c, pass);
    return {sum, normed};
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    NormGradient g(c->get_saved_variables(), d_out[1], pass);
    if (d_out[0].defined()) {
      const at::Tensor d_sum = d_out[0].contiguous();
      add_rows(rows_of(g.dx), rows_of(d_sum), rows_to(g.dx), pass.workers);
    }
    return {g.dx, g.dx, g.d_weight, {}, {}};
  }
};

}  // namespace

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, float eps) { return x * at::rsqrt(x.pow(2).mean(-1, true) + eps) * weight; }

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, float eps, Pass& pass) {
  return ours(x) ? Norm::apply(x.contiguous(), weight, static_cast<double>(eps), &pass) : plain_rms_norm(x, weight, eps);
}

SumAndNorm add_and_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight, float eps, Pass& pass) {
  if (!ours(x)) {
    const at::Tensor sum = x + y;
    return {sum, plain_rms_norm(sum, weight, eps)};
  }
  const variable_list out = SumNorm::apply(x.contiguous(), y.contiguous(), weight, static_cast<double>(eps), &pass);
  return {out[0], out[1]};
}

}  // namespace moiety
