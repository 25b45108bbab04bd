#include "learn/function_linear.h"

#include "learn/function.h"

namespace moiety {
namespace {

struct Linears : torch::autograd::Function<Linears> {
  // libtorch 1.13 sees tensors only as arguments of their own.
  template <class... Weights>
  static variable_list forward(AutogradContext* c, Pass* pass, int64_t precision, at::Tensor x, Weights... weights) {
    const variable_list tensors{x, weights...};
    variable_list out;
    std::vector<Gemm> products;
    for (size_t i = 1; i < tensors.size(); i++) {
      const at::Tensor& w = tensors[i];
      at::Tensor y = new_rows(x.size(0), w.size(0));
      const size_t n = static_cast<size_t>(w.size(0)), d = static_cast<size_t>(w.size(1));
      products.push_back({in_rows(x.data_ptr<float>(), static_cast<size_t>(x.stride(0))), transposed(w.data_ptr<float>(), d), y.data_ptr<float>(), n,
                          static_cast<size_t>(x.size(0)), n, d, false, static_cast<Precision>(precision)});
      out.push_back(y);
    }
    gemm(products, pass->room.products, pass->workers);
    c->save_for_backward(tensors);
    c->saved_data["precision"] = precision;
    keep(c, pass);
    return out;
  }

  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const variable_list saved = c->get_saved_variables();
    const at::Tensor& x = saved[0];
    const size_t rows = static_cast<size_t>(x.size(0)), d = static_cast<size_t>(x.size(1));
    const Precision precision = static_cast<Precision>(c->saved_data["precision"].toInt());
    variable_list out(saved.size() + 2);  // the first are the pass's and the precision's: none
    GradientPlace dx(pass, x);
    std::vector<Gemm> weights;
    std::vector<at::Tensor> held;
    for (size_t i = 1; i < saved.size(); i++) {
      if (!d_out[i - 1].defined()) continue;
      const at::Tensor& w = saved[i];
      held.push_back(d_out[i - 1].contiguous());
      const float* dy = held.back().data_ptr<float>();
      const size_t n = static_cast<size_t>(w.size(0));
      if (dx) {
        const Gemm product{in_rows(dy, n), in_rows(w.data_ptr<float>(), d), dx.data, d, rows, d, n, dx.add, precision};
        gemm({&product, 1}, pass.room.products, pass.workers);
        dx.add = true;
      }
      GradientPlace dw(pass, w);
      if (dw) weights.push_back({transposed(dy, n), in_rows(x.data_ptr<float>(), static_cast<size_t>(x.stride(0))), dw.data, d, n, d, rows, dw.add, precision});
      out[i + 2] = dw.tensor;
    }
    gemm(weights, pass.room.products, pass.workers);
    out[2] = dx.tensor;
    return out;
  }
};

}  // namespace

at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& w) { return at::matmul(x, w.t()); }

std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<at::Tensor>& w, Pass& pass, Precision precision) {
  std::vector<at::Tensor> out;
  if (!ours(x)) {
    for (const at::Tensor& one : w) out.push_back(plain_linear(x, one));
    return out;
  }
  const at::Tensor rows = x.contiguous();
  const int64_t p = static_cast<int64_t>(precision);
  switch (w.size()) {
    case 1: return Linears::apply(&pass, p, rows, w[0]);
    case 2: return Linears::apply(&pass, p, rows, w[0], w[1]);
    case 3: return Linears::apply(&pass, p, rows, w[0], w[1], w[2]);
  }
  throw Error("linears: {} weights at once; up to three have a form", w.size());
}

}  // namespace moiety
