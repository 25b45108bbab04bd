#include "learn/norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/layer_norm.h>

namespace moiety {

Norm::Norm(const PartSite& site, const std::string& name)
    : arena_(&site.arena), weight_(site.arena.declare(site.prefix + name + ".weight", {site.d}, {1, 0})), layer_(site.style.layer_norm), epsilon_(site.epsilon) {
  if (site.style.norm_bias) bias_ = site.arena.declare(site.prefix + name + ".bias", {site.d}, {0, 0});
}

at::Tensor Norm::operator()(const at::Tensor& x, Pass& pass) const {
  const at::Tensor& weight = arena_->value(weight_);
  if (!layer_) return rms_norm(x, weight, epsilon_, pass);
  return at::layer_norm(x, weight.sizes(), weight, bias_ ? arena_->value(*bias_) : at::Tensor(), epsilon_);
}

SumAndNorm Norm::of_sum(const at::Tensor& x, const at::Tensor& y, Pass& pass) const {
  if (!layer_) return add_and_norm(x, y, arena_->value(weight_), epsilon_, pass);
  const at::Tensor sum = x + y;
  return {sum, (*this)(sum, pass)};
}

}  // namespace moiety
