// A mixture's FFNs in two parallel regions.
//
//   1  for 32 inner units of an expert and its rows:   inner = act(gate x) * (up x), in 8 bits where down asks for them
//   2  for 16 outputs and all experts, ascending:      out += weight * (down inner)
//
// A worker of the second region owns its outputs, so the order of each sum is that of the experts, whoever computes it.
#include <algorithm>

#include "kernels/panel_product.h"
#include "kernels/ops.h"
#include "model/experts.h"

namespace moiety {
namespace {

constexpr size_t tile = panel_tile;
constexpr size_t units = 32;  // inner units of a task: two panels, one block of 8-bit activations

const float* values_of(const Matrix* bias) { return bias ? reinterpret_cast<const float*>(bias->data) : nullptr; }
const float* values_of(std::span<const float> bias) { return bias.empty() ? nullptr : bias.data(); }

// An expert or the shared FFN, and the rows it serves. A zero expert has no matrices.
struct Group {
  const Matrix *gate = nullptr, *up = nullptr, *down = nullptr;
  const float *gate_bias = nullptr, *up_bias = nullptr, *down_bias = nullptr;
  std::vector<uint32_t> rows;
  std::vector<float> weights;
};

struct Inner {  // [rows of a group, width], in the form that `down` takes
  size_t width;
  Q8Rows q8;
  std::vector<float> floats;
  Inner(TensorType down, size_t rows, size_t w) : width(w) {
    if (panel_format(down)) q8 = Q8Rows(rows, w);
    else floats.resize(rows * w);
  }
  const void* row(size_t r) const { return q8.empty() ? static_cast<const void*>(floats.data() + r * width) : q8[r]; }
};

bool packed(const Matrix* m) { return m && m->panels; }

bool takes(const Group& g) {
  return packed(g.gate) && packed(g.up) && packed(g.down) && g.gate->type == g.up->type && g.gate->rows % units == 0 && g.up->rows == g.gate->rows;
}

std::vector<Group> groups_of(const Assignment& a, std::span<const ExpertView* const> views) {
  std::vector<Group> out(views.size());
  for (size_t i = 0; i < views.size(); i++) {
    Group& g = out[i];
    for (const Slot& slot : a.of(i)) g.rows.push_back(slot.row), g.weights.push_back(slot.weight);
    if (views[i]->kind == ExpertKind::zero) continue;
    g.gate = views[i]->find(PartRole::gate), g.up = views[i]->find(PartRole::up), g.down = views[i]->find(PartRole::down);
    g.gate_bias = values_of(views[i]->find(PartRole::gate_bias)), g.up_bias = values_of(views[i]->find(PartRole::up_bias));
    g.down_bias = values_of(views[i]->find(PartRole::down_bias));
  }
  return out;
}

Group shared_group(const FeedForward& f, std::span<const float> weights) {
  Group g;
  g.gate = &f.gate.weight, g.up = &f.up.weight, g.down = &f.down.weight;
  g.gate_bias = values_of(f.gate.bias), g.up_bias = values_of(f.up.bias), g.down_bias = values_of(f.down.bias);
  for (size_t t = 0; t < weights.size(); t++) g.rows.push_back(static_cast<uint32_t>(t));
  g.weights.assign(weights.begin(), weights.end());
  return g;
}

struct Task {
  size_t group, begin, end;  // 32 inner units each
};

void add_bias(const float* bias, size_t column, float (*out)[panel_rows], size_t count) {
  if (!bias) return;
  for (size_t k = 0; k < count; k++)
    for (size_t c = 0; c < panel_rows; c++) out[k][c] += bias[column + c];
}

// Region 1: blocks of units [begin, end) of a group for all its rows.
void compute_inner(const Config& config, const Group& g, Inner& inner, const RowPointers& x, size_t begin, size_t end) {
  static thread_local PanelRoom gate_room, up_room;
  const PanelKernels& kernels = panel_kernels();
  const PanelKernel multiply = panel_kernel_of(kernels, g.gate->type);
  const ReadyPanels gates(*g.gate, 2 * begin, 2 * end, gate_room), ups(*g.up, 2 * begin, 2 * end, up_room);
  float gate[tile][panel_rows], up[tile][panel_rows], block[tile][units];
  const void* some[tile];
  for (size_t m = 0, count; m < g.rows.size(); m += count) {
    count = kernels.next_rows(g.rows.size() - m);
    for (size_t k = 0; k < count; k++) some[k] = x[g.rows[m + k]];
    for (size_t u = begin; u < end; u++) {
      for (size_t half = 0; half < 2; half++) {
        const size_t panel = 2 * u + half, column = panel * panel_rows;
        multiply(gates[panel], g.gate->cols, some, count, gate);
        multiply(ups[panel], g.up->cols, some, count, up);
        add_bias(g.gate_bias, column, gate, count);
        add_bias(g.up_bias, column, up, count);
        for (size_t k = 0; k < count; k++) {
          activate(config, gate[k], up[k]);
          std::copy_n(gate[k], panel_rows, block[k] + half * panel_rows);
        }
      }
      for (size_t k = 0; k < count; k++) {
        const size_t row = m + k;
        if (inner.q8.empty()) std::copy_n(block[k], units, inner.floats.data() + row * inner.width + u * units);
        else quantise_row(block[k], units, inner.q8[row] + u);
      }
    }
  }
}

// Region 2: output panels [begin, end) of one group, added to `out`.
void add_outputs(const Group& g, const Inner& inner, size_t begin, size_t end, Rows out) {
  static thread_local PanelRoom room;
  const PanelKernels& kernels = panel_kernels();
  const PanelKernel multiply = panel_kernel_of(kernels, g.down->type);
  const ReadyPanels panels(*g.down, begin, end, room);
  float y[tile][panel_rows];
  const void* some[tile];
  for (size_t m = 0, count; m < g.rows.size(); m += count) {
    count = kernels.next_rows(g.rows.size() - m);
    for (size_t k = 0; k < count; k++) some[k] = inner.row(m + k);
    for (size_t p = begin; p < end; p++) {
      const size_t column = p * panel_rows, wide = std::min(panel_rows, g.down->rows - column);
      multiply(panels[p], g.down->cols, some, count, y);
      for (size_t k = 0; k < count; k++) {
        if (g.down_bias) add({y[k], wide}, {g.down_bias + column, wide});
        add_scaled({out[g.rows[m + k]] + column, wide}, {y[k], wide}, g.weights[m + k]);
      }
    }
  }
}

// Of a zero expert: the input itself, columns [begin, end).
void add_input(const Group& g, ConstRows x, size_t begin, size_t end, Rows out) {
  for (size_t m = 0; m < g.rows.size(); m++)
    for (size_t c = begin; c < end; c++) out[g.rows[m]][c] += g.weights[m] * x[g.rows[m]][c];
}

}  // namespace

bool run_fused(const Step& step, const Site& site, const Assignment& assignment, std::span<const ExpertView* const> views,
               std::span<const float> shared_weights, Activations& x, Rows out) {
  std::vector<Group> groups = groups_of(assignment, views);
  if (site.shared) groups.push_back(shared_group(site.shared, shared_weights));
  for (const Group& g : groups)
    if ((g.gate || g.down) && !takes(g)) return false;

  std::vector<Inner> inner;
  for (const Group& g : groups) inner.emplace_back(g.down ? g.down->type : TensorType::f32, g.rows.size(), g.gate ? g.gate->rows : 0);
  std::vector<Task> tasks;
  const size_t together = x.rows() > 1 ? 4 : 2;
  for (size_t i = 0; i < groups.size(); i++) {
    const Group& g = groups[i];
    if (!g.gate) continue;
    const size_t all = g.gate->rows / units, step = std::clamp<size_t>(ReadyPanels::together(*g.gate, g.rows.size()) / 2, 1, together);
    for (size_t u = 0; u < all; u += step) tasks.push_back({i, u, std::min(all, u + step)});
  }
  std::vector<RowPointers> pointers;
  for (const Group& g : groups) pointers.emplace_back(g.gate ? g.gate->type : TensorType::f32, x, step.workers);
  step.workers.run(tasks.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) {
      const Task& task = tasks[i];
      compute_inner(step.model.config, groups[task.group], inner[task.group], pointers[task.group], task.begin, task.end);
    }
  });

  const size_t d = out.cols;
  step.workers.run(panels(d), x.rows() > 1 ? 8 : 4, [&](size_t begin, size_t end, size_t) {
    const size_t first = begin * panel_rows, last = std::min(end * panel_rows, d);
    for (size_t t = 0; t < out.rows; t++) std::fill(out[t] + first, out[t] + last, 0.0f);
    for (size_t i = 0; i < groups.size(); i++) {
      const Group& g = groups[i];
      if (!g.down) add_input(g, x.floats(), first, last, out);
      else ReadyPanels::each_part(*g.down, begin, end, g.rows.size(), [&](size_t from, size_t to) { add_outputs(g, inner[i], from, to, out); });
    }
  });
  return true;
}

}  // namespace moiety
