#include "gradients/grouped_experts.h"

#include <algorithm>
#include <functional>

#include "kernels/ops.h"

namespace moiety {
namespace {

constexpr size_t grain = 32;        // rows that a thread takes at a time where little is done with each
constexpr size_t least_share = 96;  // rows for which packing an expert's matrices is worth it

// Slots of one expert, which a thread takes through all of its products: what stands between them stays in its cache.
struct Share {
  size_t expert, first, rows;
};

// The largest first, so that no thread waits long for the last one.
std::vector<Share> shares(const ExpertSlots& slots, size_t threads) {
  const size_t most = std::max(least_share, slots.slots() / (4 * threads));
  std::vector<Share> out;
  for (size_t e = 0; e < slots.experts(); e++) {
    const size_t first = slots.first_of_expert[e], rows = slots.first_of_expert[e + 1] - first;
    const size_t pieces = (rows + most - 1) / most;
    for (size_t i = 0; i < pieces; i++) out.push_back({e, first + rows * i / pieces, rows * (i + 1) / pieces - rows * i / pieces});
  }
  std::ranges::stable_sort(out, std::greater(), &Share::rows);
  return out;
}

void gather(const ExpertSlots& slots, const Share& share, ConstRows x, float* out) {
  for (size_t s = 0; s < share.rows; s++) std::copy_n(x[slots.row_of[share.first + s]], x.cols, out + s * x.cols);
}

// y[r] = the sum of its slots' rows.
void combine(const ExpertSlots& slots, const float* outputs, Rows y, Workers& workers) {
  workers.run(slots.rows(), grain, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; r++) {
      std::fill_n(y[r], y.cols, 0.0f);
      for (size_t i = slots.first_of_row[r]; i < slots.first_of_row[r + 1]; i++) add({y[r], y.cols}, {outputs + slots.slot_of[i] * y.cols, y.cols});
    }
  });
}

// The weights of choices in the order of slots.
std::vector<float> by_slot(const ExpertSlots& slots, std::span<const float> weight) {
  std::vector<float> out(slots.slots());
  for (size_t i = 0; i < out.size(); i++) out[slots.slot_of[i]] = weight[i];
  return out;
}

}  // namespace

ExpertSlots expert_slots(std::span<const int64_t> first, std::span<const int32_t> expert, size_t experts) {
  ExpertSlots out;
  out.first_of_row.assign(first.begin(), first.end());
  out.first_of_expert.assign(experts + 1, 0);
  out.slot_of.resize(expert.size());
  out.row_of.resize(expert.size());
  for (int32_t e : expert) out.first_of_expert[e + 1]++;
  for (size_t e = 0; e < experts; e++) out.first_of_expert[e + 1] += out.first_of_expert[e];
  std::vector<size_t> next(out.first_of_expert.begin(), out.first_of_expert.end() - 1);
  for (size_t r = 0; r + 1 < first.size(); r++)
    for (int64_t i = first[r]; i < first[r + 1]; i++) {
      const size_t slot = next[expert[i]]++;
      out.slot_of[i] = static_cast<uint32_t>(slot);
      out.row_of[slot] = static_cast<uint32_t>(r);
    }
  return out;
}

void grouped_experts(const ExpertSlots& slots, const ExpertWeights& w, ConstRows x, std::span<const float> weight, float* inner, Rows y,
                     GradientRoom& room, Workers& workers) {
  const size_t d = x.cols, width = w.width, wide = w.form.inner * width;
  float* outputs = at_least(room.outputs, slots.slots() * d);  // [slots, d]
  const std::vector<float> weight_of = by_slot(slots, weight);
  const std::vector<Share> all = shares(slots, workers.size());
  room.grow_to(workers.size());
  workers.run(all.size(), 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; i++) {
      const auto [e, first, rows] = all[i];
      float* inputs = at_least(room.threads[worker], rows * (d + width));  // [rows, d]
      float *hidden = inputs + rows * d, *inner_of = inner + first * wide;
      gather(slots, all[i], x, inputs);
      gemm_alone({in_rows(inputs, d), transposed(w.in + e * wide * d, d), inner_of, wide, rows, wide, d, false, w.precision}, room.products[worker]);
      for (size_t s = 0; s < rows; s++) w.form.forward({inner_of + s * wide, wide}, weight_of[first + s], {hidden + s * width, width});
      gemm_alone({in_rows(hidden, width), transposed(w.down + e * d * width, width), outputs + first * d, d, rows, d, width, false, w.precision}, room.products[worker]);
    }
  });
  combine(slots, outputs, y, workers);
}

void grouped_experts_gradient(const ExpertSlots& slots, const ExpertWeights& w, ConstRows x, std::span<const float> weight, const float* inner,
                              ConstRows dy, Rows dx, std::span<float> d_weight, const ExpertGradients& gradients, GradientRoom& room, Workers& workers) {
  const size_t d = x.cols, width = w.width, wide = w.form.inner * width, count = slots.slots();
  float* inputs = at_least(room.inputs, count * d);               // [slots, d] of x
  float* d_outputs = at_least(room.outputs, 2 * count * d);       // [slots, d] of dy
  float* d_inputs = d_outputs + count * d;                        // [slots, d]
  float* hidden = at_least(room.hidden, count * (width + wide));  // [slots, width], with the choice's weight in it
  float* d_inner = hidden + count * width;                        // [slots, wide]
  const std::vector<float> weight_of = by_slot(slots, weight);
  std::vector<float> d_weight_of(count);
  const std::vector<Share> all = shares(slots, workers.size());
  room.grow_to(workers.size());
  workers.run(all.size(), 1, [&](size_t begin, size_t end, size_t worker) {
    for (size_t i = begin; i < end; i++) {
      const auto [e, first, rows] = all[i];
      float* d_hidden = at_least(room.threads[worker], rows * width);  // [rows, width], without the choice's weight
      gather(slots, all[i], x, inputs + first * d);
      gather(slots, all[i], dy, d_outputs + first * d);
      gemm_alone({in_rows(d_outputs + first * d, d), in_rows(w.down + e * d * width, width), d_hidden, width, rows, width, d, false, w.precision}, room.products[worker]);
      for (size_t s = 0; s < rows; s++)
        d_weight_of[first + s] = w.form.gradient({inner + (first + s) * wide, wide}, weight_of[first + s], {d_hidden + s * width, width},
                                                 {d_inner + (first + s) * wide, wide}, {hidden + (first + s) * width, width});
      gemm_alone({in_rows(d_inner + first * wide, wide), in_rows(w.in + e * wide * d, d), d_inputs + first * d, d, rows, d, wide, false, w.precision}, room.products[worker]);
    }
  });
  for (size_t i = 0; i < count; i++) d_weight[i] = d_weight_of[slots.slot_of[i]];
  std::vector<Gemm> products;
  for (size_t e = 0; e < slots.experts(); e++) {
    const size_t first = slots.first_of_expert[e], rows = slots.first_of_expert[e + 1] - first;
    const float *x_e = inputs + first * d, *dy_e = d_outputs + first * d, *d_inner_e = d_inner + first * wide, *hidden_e = hidden + first * width;
    if (gradients.in) products.push_back({transposed(d_inner_e, wide), in_rows(x_e, d), gradients.in + e * wide * d, d, wide, d, rows, gradients.add, w.precision});
    if (gradients.down) products.push_back({transposed(dy_e, d), in_rows(hidden_e, width), gradients.down + e * d * width, width, d, width, rows, gradients.add, w.precision});
  }
  gemm(products, room.products, workers);
  combine(slots, d_inputs, dx, workers);
}

}  // namespace moiety
