#include "learn/function_parameter.h"

#include <ATen/ops/from_blob.h>

#include "kernels/ops.h"
#include "learn/function.h"

namespace moiety {
namespace {

struct InGraph : torch::autograd::Function<InGraph> {
  static at::Tensor forward(AutogradContext* c, at::Tensor parameter, Pass* pass) {
    c->save_for_backward({parameter});
    keep(c, pass);
    return at::from_blob(parameter.data_ptr(), parameter.sizes(), parameter.options().requires_grad(false));
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    const variable_list saved = c->get_saved_variables();
    const at::Tensor d = d_out[0].contiguous();
    const size_t count = static_cast<size_t>(d.numel());
    GradientPlace place(kept(c), saved[0]);
    if (place.add) add({place.data, count}, {d.data_ptr<float>(), count});
    else if (place) std::copy_n(d.data_ptr<float>(), count, place.data);
    return {place.tensor, {}};
  }
};

}  // namespace

at::Tensor in_graph(const at::Tensor& parameter, Pass& pass) { return ours(parameter) ? InGraph::apply(parameter, &pass) : parameter; }

}  // namespace moiety
