// kind = "short_convolution": B, C, x = in(h); out(C * conv(B * x)), conv taking each channel with the `taps` positions up to its own. Liquid AI 2025,
// LFM2, arXiv 2511.23404. Only models that a run starts from may have it.
#include <ATen/TensorOperators.h>

#include "learn/facts.h"
#include "learn/function_convolution.h"
#include "learn/function_parameter.h"
#include "learn/projection.h"

namespace moiety {
namespace {

class ShortConvolution : public ModelPart {
 public:
  ShortConvolution(const Table& t, const PartSite& site) : arena_(site.arena), d_(site.d) {
    taps_ = static_cast<int64_t>(t.count("taps", 3));
    if (taps_ == 0 || taps_ > 1 << 10) t.wrong("taps", "from 1 to 1024 are possible");
    const bool bias = t.flag("bias", false);
    in_ = Projection(site, "shortconv.in_proj", 3 * d_, d_, bias);
    taps_weight_ = arena_.declare(site.prefix + "shortconv.conv.weight", {d_ * taps_}, {0, site.deviation});
    if (bias) conv_bias_ = arena_.declare(site.prefix + "shortconv.conv.bias", {d_}, {0, 0});
    out_ = Projection(site, "shortconv.out_proj", d_, d_, bias);
  }

  at::Tensor forward(const at::Tensor& x, const RowContext& rows, TrainingStep& step) override {
    Pass& pass = step.pass;
    const std::vector<at::Tensor> bcx = project(x, in_, arena_, pass).split(d_, 1);
    at::Tensor mixed = causal_convolution(bcx[0] * bcx[2], in_graph(arena_.value(taps_weight_), pass).view({d_, taps_}), rows.length);
    if (conv_bias_) mixed = add_bias(mixed, arena_.value(*conv_bias_), pass);
    return project(bcx[1] * mixed, out_, arena_, pass);
  }

  PartFacts facts() const override {
    PartFacts out;
    out.unwritten = "short_convolution";
    return out;
  }

  size_t active_parameters() const override { return static_cast<size_t>(d_ * (4 * d_ + taps_)); }

 private:
  Arena& arena_;
  int64_t d_, taps_;
  Projection in_, out_;
  size_t taps_weight_;
  std::optional<size_t> conv_bias_;
};

}  // namespace

PartInfo short_convolution_part() {
  return {"short_convolution", "a gated convolution over a few positions: taps, bias", "Liquid AI 2025, LFM2, arXiv 2511.23404",
          [](const Table& t, const PartSite& site) -> std::unique_ptr<ModelPart> { return std::make_unique<ShortConvolution>(t, site); }};
}

}  // namespace moiety
