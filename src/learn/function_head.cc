#include "learn/function_head.h"

#include "gradients/cross_entropy.h"
#include "kernels/ops.h"
#include "learn/function.h"

namespace moiety {
namespace {

// Gradients are computed with the losses, while the logits are at hand, and wait for the backward pass, which scales them.
struct Head : torch::autograd::Function<Head> {
  static variable_list forward(AutogradContext* c, at::Tensor x, at::Tensor head, at::Tensor targets, double z_loss, bool gradients, Pass* pass) {
    const std::span<const int32_t> ids{targets.data_ptr<int32_t>(), static_cast<size_t>(targets.size(0))};
    const size_t count = static_cast<size_t>(std::ranges::count_if(ids, [](int32_t t) { return t >= 0; }));
    const HeadLoss loss{ids, 1 / static_cast<float>(std::max<size_t>(count, 1)), static_cast<float>(z_loss), pass->precision};
    at::Tensor nll = at::empty({x.size(0)}, x.options()), sums = at::empty({x.size(0)}, x.options());
    const size_t vocabulary = static_cast<size_t>(head.size(0));
    if (gradients) {
      at::Tensor dx = at::empty_like(x), d_head = at::empty_like(head);
      head_cross_entropy(loss, rows_of(x), head.data_ptr<float>(), vocabulary, nll.data_ptr<float>(), sums.data_ptr<float>(), rows_to(dx), d_head.data_ptr<float>(), false,
                         pass->room, pass->workers);
      c->save_for_backward({dx, d_head, head});
    } else {
      head_losses(loss, rows_of(x), head.data_ptr<float>(), vocabulary, nll.data_ptr<float>(), sums.data_ptr<float>(), pass->room, pass->workers);
    }
    keep(c, pass);
    c->mark_non_differentiable({nll, sums});
    double total = 0;
    for (int64_t r = 0; r < x.size(0); r++) {
      const double log_sum = sums.data_ptr<float>()[r];
      total += nll.data_ptr<float>()[r] + z_loss * log_sum * log_sum;
    }
    return {at::full({}, total * loss.scale, x.options()), nll, sums};
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const variable_list saved = c->get_saved_variables();
    const float scale = d_out[0].item<float>();
    at::Tensor dx = saved[0], d_head = saved[1];
    const size_t rows = static_cast<size_t>(dx.size(0)), d = static_cast<size_t>(dx.size(1)), vocabulary = static_cast<size_t>(d_head.size(0));
    if (scale != 1)
      pass.workers.run(rows, 64, [&](size_t begin, size_t end, size_t) { moiety::scale({dx.data_ptr<float>() + begin * d, (end - begin) * d}, scale); });
    GradientPlace place(pass, saved[2]);
    if (place)
      pass.workers.run(vocabulary, 64, [&](size_t begin, size_t end, size_t) {
        float* to = place.data + begin * d;
        const float* from = d_head.data_ptr<float>() + begin * d;
        for (size_t i = 0; i < (end - begin) * d; i++) to[i] = (place.add ? to[i] : 0) + scale * from[i];
      });
    return {dx, place.tensor, {}, {}, {}, {}};
  }
};

struct Embedding : torch::autograd::Function<Embedding> {
  static at::Tensor forward(AutogradContext* c, at::Tensor ids, at::Tensor table, Pass* pass) {
    at::Tensor out = new_rows(ids.size(0), table.size(1));
    const Rows to = rows_to(out);
    const float* from = table.data_ptr<float>();
    const int32_t* id = ids.data_ptr<int32_t>();
    for (size_t r = 0; r < to.rows; r++) std::copy_n(from + static_cast<size_t>(id[r]) * to.cols, to.cols, to[r]);
    c->save_for_backward({ids, table});
    keep(c, pass);
    return out;
  }
  static variable_list backward(AutogradContext* c, variable_list d_out) {
    Pass& pass = kept(c);
    const variable_list saved = c->get_saved_variables();
    const at::Tensor dy = d_out[0].contiguous();
    GradientPlace place(pass, saved[1]);
    if (!place) return {{}, {}, {}};
    const size_t d = static_cast<size_t>(dy.size(1));
    if (!place.add) std::fill_n(place.data, saved[1].numel(), 0.0f);
    const int32_t* id = saved[0].data_ptr<int32_t>();
    for (int64_t r = 0; r < dy.size(0); r++) add({place.data + static_cast<size_t>(id[r]) * d, d}, {dy.data_ptr<float>() + static_cast<size_t>(r) * d, d});
    return {{}, place.tensor, {}};
  }
};

}  // namespace

HeadResult plain_head_loss(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, float z_loss) {
  const at::Tensor there = targets.to(x.device()), counts = there >= 0;
  const at::Tensor logits = at::matmul(x, head.t()), log_sums = at::logsumexp(logits, -1);
  const at::Tensor nll = (log_sums - logits.gather(1, there.clamp_min(0).to(at::kLong).unsqueeze(1)).squeeze(1)) * counts;
  return {(nll + z_loss * log_sums * log_sums * counts).sum() / counts.sum().clamp_min(1), nll.detach().cpu(), (log_sums * counts).detach().cpu()};
}

HeadResult head_loss(const at::Tensor& x, const at::Tensor& head, const at::Tensor& targets, float z_loss, Pass& pass) {
  if (!ours(x)) return plain_head_loss(x, head, targets, z_loss);
  const variable_list out = Head::apply(x.contiguous(), head, targets, static_cast<double>(z_loss), at::GradMode::is_enabled(), &pass);
  return {out[0], out[1], out[2]};
}

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& table, Pass& pass) {
  return ours(table) ? Embedding::apply(ids, table, &pass) : at::index_select(table, 0, ids.to(table.device(), at::kLong));
}

}  // namespace moiety
