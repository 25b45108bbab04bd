// A mixture's FFNs in one parallel region of two phases.
//
//   1  for 32 inner units of an expert and its rows:   inner = act(gate x) * (up x) or unit(up x), in 8 bits where down asks for them
//   2  for 16 outputs and all experts, ascending:      out += weight * (down inner)
//
// A worker of the second phase owns its outputs, so the order of each sum is that of the experts, whoever computes it.
#include <algorithm>
#include <numeric>
#include <optional>

#include "kernels/panel_product.h"
#include "kernels/ops.h"
#include "model/experts.h"

namespace moiety {
namespace {

constexpr size_t units = 32;         // inner units of a block: two panels, one block of 8-bit activations
static_assert(units == 2 * panel_rows);
constexpr size_t most_together = 8;  // blocks of gate before those of up; half of it where panels meet several tiles of rows and stay in the cache
constexpr size_t few_rows = 32;      // whose outputs stay in the cache, however many a worker owns
constexpr size_t down_panels = 8;    // of a group that meet several tiles of rows

const float* values_of(const Matrix* bias) { return bias ? reinterpret_cast<const float*>(bias->data) : nullptr; }
const float* values_of(std::span<const float> bias) { return bias.empty() ? nullptr : bias.data(); }

// An expert or a shared FFN, and the rows it serves. Kinds without a gate have none, those that are no FFN no matrices.
struct Group {
  const ExpertKind* kind = &ffn_expert;
  const Matrix *gate = nullptr, *up = nullptr, *down = nullptr;
  const float *gate_bias = nullptr, *up_bias = nullptr, *down_bias = nullptr;
  std::span<const uint32_t> rows;
  std::span<const float> weights;
  std::unique_ptr<RowExpert> alone;  // of a kind that is no FFN and gives something
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
const std::byte* panel_at(const Matrix& m, size_t panel) { return m.panels + panel * panel_bytes(m.type, m.cols); }

bool takes(const Group& g) {
  if (!packed(g.up) || !packed(g.down) || g.up->rows % units != 0) return false;
  return !g.kind->has_gate || (packed(g.gate) && g.gate->type == g.up->type && g.gate->rows == g.up->rows);
}

std::vector<Group> groups_of(const Assignment& a, std::span<const ExpertView* const> views, ConstRows x, Workers& workers) {
  std::vector<Group> out(views.size());
  for (size_t i = 0; i < views.size(); i++) {
    Group& g = out[i];
    g.rows = a.rows_of(i), g.weights = a.weights_of(i);
    g.kind = views[i]->kind;
    if (!g.kind->is_ffn()) {
      if (g.kind->serve) g.alone = g.kind->serve(*views[i], x, g.rows, workers);
      continue;
    }
    g.gate = views[i]->find(PartRole::gate), g.up = views[i]->find(PartRole::up), g.down = views[i]->find(PartRole::down);
    g.gate_bias = values_of(views[i]->find(PartRole::gate_bias)), g.up_bias = values_of(views[i]->find(PartRole::up_bias));
    g.down_bias = values_of(views[i]->find(PartRole::down_bias));
  }
  return out;
}

Group shared_group(const SharedExpert& shared, std::span<const uint32_t> rows, std::span<const float> weights) {
  const FeedForward& f = shared.ffn;
  Group g;
  g.kind = shared.kind;
  if (f.gate) g.gate = &f.gate.weight;
  g.up = &f.up.weight, g.down = &f.down.weight;
  g.gate_bias = values_of(f.gate.bias), g.up_bias = values_of(f.up.bias), g.down_bias = values_of(f.down.bias);
  g.rows = rows, g.weights = weights;
  return g;
}

struct Task {
  size_t group, begin, end;  // blocks of a group
};

// How many blocks of a group a worker computes at once, if it has the tasks for them.
size_t blocks_together(const Group& g) {
  const size_t most = g.rows.size() > panel_kernels().tile ? most_together / 2 : most_together;
  return std::clamp<size_t>(ReadyPanels::together(*g.up, g.rows.size()) / 2, 1, most);
}

// The bias of outputs [column, column + wide), to `count` rows.
void add_bias(const float* bias, size_t column, size_t wide, PairOutputs* out, size_t count) {
  if (!bias) return;
  for (size_t k = 0; k < count; k++) add({out[k], wide}, {bias + column, wide});
}

// Phase 1: blocks of units [begin, end) of a group for all its rows; `next` are the weights that come after them.
void compute_inner(const Config& config, const Group& g, Inner& inner, const RowPointers& x, size_t begin, size_t end, const std::byte* next) {
  static thread_local PanelRoom gate_room, up_room;
  const PanelKernels& kernels = panel_kernels();
  const PanelKernel multiply = panel_kernel_of(kernels, g.up->type);
  const Matrix& first = g.gate ? *g.gate : *g.up;
  const ReadyPanels gates(first, 2 * begin, 2 * end, gate_room);
  std::optional<ReadyPanels> ups;
  if (g.gate) ups.emplace(*g.up, 2 * begin, 2 * end, up_room);
  const size_t all = end - begin;
  PairOutputs inner_rows[most_together * panel_tile], up[most_together * panel_tile];  // [units, rows of a tile]
  const void* some[panel_tile];
  for (size_t m = 0, count; m < g.rows.size(); m += count) {
    count = kernels.next_rows(g.rows.size() - m);
    for (size_t k = 0; k < count; k++) some[k] = x[g.rows[m + k]];
    // All of gate, then all of up: what lies together in memory comes fastest.
    const auto products = [&](const ReadyPanels& panels, const float* bias, const std::byte* after, PairOutputs* out) {
      for (size_t u = 0; u < all; u++) {
        const size_t panel = 2 * (begin + u);
        multiply(panels.pair(panel, u + 1 < all ? panels[panel + 2] : after, m > 0), first.cols, some, count, out + u * count);
        add_bias(bias, panel * panel_rows, units, out + u * count, count);
      }
    };
    products(gates, ups ? g.gate_bias : g.up_bias, ups ? (*ups)[2 * begin] : next, inner_rows);
    if (ups) products(*ups, g.up_bias, next, up);
    for (size_t u = 0; u < all; u++)
      for (size_t k = 0; k < count; k++) {
        float* values = inner_rows[u * count + k];
        activate(config, *g.kind, {values, units}, {up[u * count + k], units});
        const size_t row = m + k;
        if (inner.q8.empty()) std::copy_n(values, units, inner.floats.data() + row * inner.width + (begin + u) * units);
        else quantise_row(values, units, inner.q8[row] + begin + u);
      }
  }
}

// Phase 2: a few output panels [begin, end) of one group, added to `out`; `next` are the weights that come after them.
void add_few_outputs(const Group& g, const Inner& inner, size_t begin, size_t end, const std::byte* next, Rows out) {
  static thread_local PanelRoom room;
  const PanelKernels& kernels = panel_kernels();
  const PanelKernel multiply = panel_kernel_of(kernels, g.down->type);
  const ReadyPanels panels(*g.down, begin, end, room);
  PairOutputs y[panel_tile];
  const void* some[panel_tile];
  for (size_t m = 0, count; m < g.rows.size(); m += count) {
    count = kernels.next_rows(g.rows.size() - m);
    for (size_t k = 0; k < count; k++) some[k] = inner.row(m + k);
    for (size_t p = begin; p < end; p += 2) {
      const size_t column = p * panel_rows, wide = std::min(std::min<size_t>(2, end - p) * panel_rows, g.down->rows - column);
      multiply(panels.pair(p, p + 2 < end ? panels[p + 2] : next, m > 0), g.down->cols, some, count, y);
      add_bias(g.down_bias, column, wide, y, count);
      for (size_t k = 0; k < count; k++) add_scaled({out[g.rows[m + k]] + column, wide}, {y[k], wide}, g.weights[m + k]);
    }
  }
}

// Any number: at once where all rows are a tile that reads each panel once, else so few that they stay in the cache from tile to tile.
void add_outputs(const Group& g, const Inner& inner, size_t begin, size_t end, const std::byte* next, Rows out) {
  const size_t step = g.rows.size() > panel_kernels().tile ? down_panels : end - begin, last = end;
  for (; begin < end; begin += step)
    ReadyPanels::each_part(*g.down, begin, std::min(end, begin + step), g.rows.size(),
                           [&](size_t from, size_t to) { add_few_outputs(g, inner, from, to, to < last ? panel_at(*g.down, to) : next, out); });
}

// Of an expert that is no FFN, columns [begin, end).
void add_alone(const Group& g, ConstRows x, size_t begin, size_t end, Rows out) {
  std::vector<float> y(end - begin);
  for (size_t m = 0; m < g.rows.size(); m++) {
    g.alone->output({x[g.rows[m]], x.cols}, m, begin, y);
    add_scaled({out[g.rows[m]] + begin, y.size()}, y, g.weights[m]);
  }
}

}  // namespace

bool run_fused(const Step& step, const Site& site, const Assignment& assignment, std::span<const ExpertView* const> views,
               ConstRows shared_weights, Activations& x, Rows out) {
  std::vector<Group> groups = groups_of(assignment, views, x.floats(), step.workers);
  std::vector<uint32_t> all_rows(site.shared.empty() ? 0 : x.rows());
  std::iota(all_rows.begin(), all_rows.end(), 0);
  for (size_t i = 0; i < site.shared.size(); i++) groups.push_back(shared_group(site.shared[i], all_rows, {shared_weights[i], shared_weights.cols}));
  for (const Group& g : groups)
    if (g.kind->is_ffn() && !takes(g)) return false;

  std::vector<Inner> inner;
  for (const Group& g : groups) inner.emplace_back(g.down ? g.down->type : TensorType::f32, g.rows.size(), g.up ? g.up->rows : 0);
  std::vector<Task> tasks;
  for (size_t i = 0; i < groups.size(); i++) {
    const Group& g = groups[i];
    if (!g.up) continue;
    const size_t all = g.up->rows / units, step = std::min<size_t>(blocks_together(g), x.rows() > 1 ? 4 : 2);
    for (size_t u = 0; u < all; u += step) tasks.push_back({i, u, std::min(all, u + step)});
  }
  std::vector<RowPointers> pointers;
  for (const Group& g : groups) pointers.emplace_back(g.up ? g.up->type : TensorType::f32, x, step.workers);
  const Workers::Work inner_units = [&](size_t begin, size_t end, size_t) {
    for (size_t next; begin < end; begin = next) {
      const Task& task = tasks[begin];
      const size_t together = blocks_together(groups[task.group]);
      for (next = begin + 1; next < end && tasks[next].group == task.group && tasks[next].end - task.begin <= together;) next++;
      const Task& after = tasks[std::min(next, tasks.size() - 1)];
      const Group& g = groups[after.group];
      compute_inner(step.model.config, groups[task.group], inner[task.group], pointers[task.group], task.begin, tasks[next - 1].end,
                    panel_at(g.gate ? *g.gate : *g.up, 2 * after.begin));
    }
  };
  const size_t d = out.cols;
  const Workers::Work outputs = [&](size_t begin, size_t end, size_t) {
    const size_t first = begin * panel_rows, last = std::min(end * panel_rows, d);
    for (size_t t = 0; t < out.rows; t++) std::fill(out[t] + first, out[t] + last, 0.0f);
    for (size_t i = 0; i < groups.size(); i++) {
      const Group& g = groups[i];
      if (g.alone) add_alone(g, x.floats(), first, last, out);
      else if (g.up) add_outputs(g, inner[i], begin, end, panel_at(*groups[i + 1 < groups.size() && groups[i + 1].down ? i + 1 : i].down, begin), out);
    }
  };
  step.workers.run({tasks.size(), 1, inner_units, x.rows() > 1 ? Ranges::many : Ranges::few},
                   {panels(d), x.rows() > 1 ? down_panels : 4, outputs, x.rows() > few_rows ? Ranges::many : Ranges::few});
  return true;
}

}  // namespace moiety
